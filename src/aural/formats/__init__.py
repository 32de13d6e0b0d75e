"""Typed results become the files other tools read: srt, vtt, json, ctm, TextGrid, RTTM ..."""
