"""Corpora become utterances."""
