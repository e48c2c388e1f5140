"""What a stage of a read is: its keys of a target, and what it does to one number.

A stage is a file beside this one and a base of `Periphery` (`rpucc.stages`). Its fields are keys
of `[periphery]`; files, `--set`, node attributes, their checks and docs/policies.md follow from
them (`rpucc.target.keys`). What it does is a plain scalar function: the read kernels are compiled
with it, and its line in `rpucc.runtime.reference.read` states it in NumPy. Not for kernels: those
are the runtime's.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from rpucc.target.keys import Section

f32 = np.float32


class Stage(Section):
    """One of the things that stand between the digital part and an array, with its keys.

    Its functions work on float32 numbers, in plain Python: arithmetic, comparisons, `min`, `max`,
    `abs`, and NumPy's `floor` and `sqrt`.
    """


class ProductStage(Stage):
    """What happens between the product of a tile and the noise of its outputs.

    Reads that have none of its keys on are as if there were no such stage; the others have kernels
    that are compiled with it. Every key is one of the attributes of a Read.
    """

    @staticmethod
    def crosspoint(w: Any, x: Any, j: Any, n: Any) -> tuple[Any, ...]:
        """What a crosspoint adds to each of the sums over a tile's inputs that `output` wants.

        w: the weight where input j of the tile's n meets the output; x: that input, converted.
        """
        return ()

    @staticmethod
    @abstractmethod
    def output(y: Any, *sums_n_keys: Any) -> Any:
        """What becomes of an output: (y, *sums, n, *keys) -> y.

        y: the product, as the stages before left it; keys: the stage's own, of the read's cycle.
        """

    @classmethod
    def sums(cls) -> int:
        """How many sums `output` wants."""
        return len(cls.crosspoint(f32(1), f32(1), f32(0), f32(1)))
