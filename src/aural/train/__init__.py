"""Weights are changed here: one loop, objectives, and what a run leaves behind."""
