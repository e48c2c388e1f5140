"""What a reader is, for the table of `readers.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .mutate import Mutation


class WronglyTakenError(AssertionError):
    """A reader took what its own rules refuse, or made something else of it."""


@dataclass(frozen=True)
class Reader:
    """One row of READERS."""

    name: str
    """The name of the file in the folder that `read` gets; what is damaged."""
    originals: Callable[[Path], list[bytes]]
    """Make good files; the folder is for what has to lie beside them."""
    mutation: Mutation
    read: Callable[[Path], object]
    """Do with a file what the commands do; raises RpuccError where it is refused."""
    adapt: Callable[[Path, bytes], bytes] = lambda folder, data: data
    """Make a kept file belong to what lies beside it, which an earlier rpucc made otherwise."""
    named: bool = True
    """Whether every refusal names the file: not where what is refused is what it says to do."""
    lenient: bool = False
    """Whether it leaves out what it cannot read, or takes most texts."""
    share: int = 100
    """How many damaged files every run of the tests tries."""
