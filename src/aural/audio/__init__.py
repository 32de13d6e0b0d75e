"""Bytes become numbers: read, stream, resample, write, and features."""
