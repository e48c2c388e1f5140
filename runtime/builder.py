"""What the builder of an instruction is given: shapes and buffers of values, and where draws are.

A backend's builders see an `Executor` through this protocol only, so they can be tested with less
and the executor knows nothing of them but a table (`backend.py`). Not for making instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rpucc.runtime.array import Array
    from rpucc.runtime.tallies import Tallies
    from rpucc.runtime.threads import Work

Buffer = NDArray[Any]
Instruction = Callable[[], None]
"""Does one node's, or one chain's, part of a step; called once a step, in graph order."""


@dataclass
class ExactReads:
    """Layers whose reads are exact products, drawing nothing; others may be chosen for each step.

    weights: what each of them reads, by the names of all layers: float32 [R, C].
    layers: those of the next step, of which all other layers read as ever.
    """

    weights: Mapping[str, NDArray[np.float32]]
    layers: frozenset[str] = field(default_factory=frozenset)


@dataclass
class StepAddress:
    """Which draws a step makes (`scalars/philox.py`): the seed's words and the first sample.

    `evaluating` separates the draws of an evaluation from those of training.
    """

    key: tuple[np.uint32, np.uint32]
    evaluating: bool = False
    measuring: bool = False
    """Reads are those of a measurement of the weights, and have draws of their own."""
    recalibrating: bool = False
    """So have those that statistics of batch norms are measured by."""
    ideal: bool = False
    """Reads are exact products, and draw nothing."""
    exact: ExactReads | None = None
    """Reads of some layers are; None where none is chosen."""
    sample: int = 0
    """Number of the batch's first sample; another one in every step."""


class Shapes(Protocol):
    """What says whether a builder can make a node's instruction."""

    def array(self, value: ir.Value | None) -> Buffer:
        """The buffer of an input of a node."""

    def shape(self, value: ir.Value) -> tuple[int, ...] | None:
        """The static shape of a value at this batch size, if it is known."""

    def constant(self, value: ir.Value | None) -> Buffer | None:
        """The value's array if it is the same in every step, else None."""


class Builder(Shapes, Protocol):
    """What makes an instruction: its arrays are known by the end of the call, for good."""

    @property
    def batch(self) -> int:
        """Samples of a step."""

    @property
    def opset(self) -> int:
        """The version of the standard operators."""

    @property
    def address(self) -> StepAddress:
        """Where the draws of the step under way are; read when an instruction runs."""

    @property
    def tallies(self) -> Tallies:
        """What instructions add to when they run: `line(layer)` for each job."""

    def matrix(self, weight: ir.Value) -> Array:
        """The matrix on devices that a Read or an Update node works on, by its weight."""

    def new(self, value: ir.Value, shape: Sequence[int], dtype: Any = np.float32) -> Buffer:
        """Plan the buffer of an output, contiguous and zero."""

    def bind(self, value: ir.Value, array: Buffer) -> None:
        """Let a value be (a view of) an array that exists already."""

    def split(
        self,
        total: int,
        operations: float,
        run: Callable[..., None],
        scratch: Callable[[], Any] | None = None,
        piece: int = 1,
    ) -> Instruction:
        """The instruction that calls run(a, b) for range(total), cut over the threads.

        operations: how much work all of it is (`threads.py`); scratch: makes a third argument for
        each thread; piece: what is not cut, because its size is part of the result.
        """

    def at_end(self, commit: Instruction) -> None:
        """Run this after everything else of a step."""

    def at_end_together(self, work: Work) -> None:
        """Do this after all instructions of a step and beside other such works."""
