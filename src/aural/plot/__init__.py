"""Typed values become figures."""
