"""The command `thinout`; says in one line what to install where the laboratory is missing."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from thinout.cli import run
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] == "thinout":
            raise
        sys.exit(f"thinout: the command line needs {error.name}. Install it with: pip install 'thinout[lab]'")
    sys.exit(run())


if __name__ == "__main__":
    main()
