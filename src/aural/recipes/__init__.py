"""Experiments as files of values: what `aural train` is given by name (train/compose.py)."""
