"""`python -m rpucc` is `rpucc`."""

from __future__ import annotations

from rpucc.cli.main import main

if __name__ == "__main__":
    main()
