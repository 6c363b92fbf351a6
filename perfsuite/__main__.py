"""`python -m perfsuite`: the command `perfsuite` where nothing is installed."""

from perfsuite.cli import run

if __name__ == "__main__":
    run()
