"""Scores become hypotheses."""
