"""The command line, built from the signatures of the tasks."""
