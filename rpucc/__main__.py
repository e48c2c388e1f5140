"""The entry point of `rpucc` and `python -m rpucc`: Ctrl-C shows no traceback from here on."""

from __future__ import annotations

import os
from typing import NoReturn


def main() -> NoReturn:
    """Import the command line and run it; exit status 130 where Ctrl-C comes in between."""
    try:
        from rpucc.cli.main import main as run

        run()
    except KeyboardInterrupt:
        os.write(2, b"\ninterrupted\n")
        os._exit(130)


if __name__ == "__main__":
    main()
