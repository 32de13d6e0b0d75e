"""`python -m aural` is `aural`."""

from aural.cli.main import main

if __name__ == "__main__":
    main()
