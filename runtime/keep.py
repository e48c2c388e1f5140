"""Which checkpoints of a training stay: the last one always, the best, and every n-th epoch's.

Not for writing them: `checkpoint_file.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rpucc import arguments
from rpucc.errors import ArgumentError

LAST = "last"
ALLOWED = "last, best, every:N (every N epochs, 1 or more), or several of them between commas"


@dataclass(frozen=True)
class Keep:
    """What is kept beside the last checkpoint."""

    best: bool = False
    every: int | None = None

    def epoch(self, epoch: int) -> bool:
        """Tell whether an epoch's checkpoint stays."""
        return self.every is not None and epoch % self.every == 0


def parse_keep(text: str | Iterable[str]) -> Keep:
    """Return what a line of text, or a list of such words, asks to keep; raises ArgumentError.

    >>> parse_keep("best,every:5")
    Keep(best=True, every=5)
    >>> parse_keep(["last"])
    Keep(best=False, every=None)
    """
    words = text.split(",") if isinstance(text, str) else arguments.strings("keep", text, ALLOWED)
    best, every = False, None
    for word in words:
        found = re.fullmatch(r"every:(\d{1,9})", word)
        if found and int(found[1]) and every is None:
            every = int(found[1])
        elif word == "best":
            best = True
        elif word != LAST:
            raise ArgumentError(f"keep {text!r}: allowed: {ALLOWED}")
    return Keep(best, every)
