"""Strings become comparable: named, versioned normalisers."""
