"""One file per command; this folder is the list of commands."""
