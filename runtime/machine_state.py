"""What a run of a program works on: the part of a machine that executors and loops see.

Not for making a machine: `machine.py`, whose state this is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rpucc.program import Program
    from rpucc.runtime.array import Array
    from rpucc.runtime.counters import Counters


class MachineState(Protocol):
    """A program on arrays, and what is known of it by name."""

    program: Program
    key: tuple[np.uint32, np.uint32]
    """The words of the seed."""
    counters: Counters
    arrays: dict[str, Array]
    held: dict[str, NDArray[Any]]
    """What arrays hold, by the initializers that it is of."""
    values: dict[str, NDArray[Any]]
    """Every other initializer."""
    updates: Mapping[str, str]
    """What a step changes, with the value that is next."""
    revision: int
    """Another one after constants were replaced, which executors may have used."""
