"""Reference and result become numbers with intervals."""
