"""`python -m perfsuite`: the command `perfsuite` where nothing is installed."""

from perfsuite.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
