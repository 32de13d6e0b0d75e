"""Exit codes of the command line.

0 done; 1 some of several inputs failed, or an optional extra is missing; 2 wrong usage, or the
only input can't be used; 4 weights or data can't be had; and those below. An AuralError carries
its own (errors.py).
"""

SOME_FAILED = 1
INPUT = 2
GATE = 3
"""A condition of `aural evaluate --gate` does not hold."""

BUG = 70
"""EX_SOFTWARE of sysexits.h."""

INTERRUPTED = 130
BROKEN_PIPE = 141
"""The reader of our output went away; as a shell reports SIGPIPE."""

TERMINATED = 143
