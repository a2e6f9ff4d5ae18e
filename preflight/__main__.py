"""`python -m preflight`."""

from preflight.cli import entry

if __name__ == "__main__":
    entry()
