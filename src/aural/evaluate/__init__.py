"""Task, corpus, metric and condition become a table with intervals."""
