"""One cycle of an array outside of any program: a read or an update, bound to buffers once.

It is what a program's nodes are under the same policy: they are made and stamped here, and the
backend's builders make their instruction. Not for checking arguments: `standalone.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from rpucc.op_spec import DOMAIN
from rpucc.runtime.builder import Buffer, Instruction, StepAddress
from rpucc.runtime.chains import ReadChain
from rpucc.runtime.counters import check_draws
from rpucc.runtime.cpu import CPU
from rpucc.runtime.rates import update_reaches
from rpucc.runtime.tallies import Tallies
from rpucc.runtime.threads import Threads, Work
from rpucc.stamps import is_to_be_bounded, set_attributes, stamp_of

if TYPE_CHECKING:
    from rpucc.runtime.array import Array
    from rpucc.target.target import LayerPolicy

OPSET = 21


class Cycle:
    """An instruction of one array with buffers of its own: the `Builder` of its nodes.

    address says whose draws the next run makes (`run` sets the sample); tallies what it counted.
    """

    opset = OPSET

    def __init__(self, array: Array, batch: int, threads: Threads | None = None) -> None:
        self.batch = batch
        self.address = StepAddress(array.layout.key)
        self.tallies = Tallies()
        self._matrix, self._threads = array, threads or Threads(1)
        self._buffers: dict[ir.Value, Buffer] = {}
        self._instructions: list[Instruction] = []
        self._works: list[Work] = []
        self._commits: list[Instruction] = []

    def run(self, sample: int) -> None:
        """Do it with what the input buffers hold; sample: the number of the batch's first one."""
        check_draws(sample + self.batch, "")
        self.address.sample = sample
        for instruction in self._instructions:
            instruction()

    def _given(self, shape: Sequence[int]) -> ir.Value:
        """A value with a buffer of this shape, for the caller to fill."""
        value = ir.Value(name=f"v{len(self._buffers)}")
        self.new(value, shape)
        return value

    def _build(self, instruction: Instruction | None) -> None:
        """Keep an instruction, and behind it what its builder left for the end of a step."""
        self._instructions += [] if instruction is None else [instruction]
        self._instructions += [self._threads.share(self._works)] if self._works else []
        self._instructions += self._commits

    # A `Builder`, for the backend's table --------------------------------------------------------

    def matrix(self, weight: ir.Value) -> Array:
        """The array: there is no other."""
        return self._matrix

    def array(self, value: ir.Value | None) -> Buffer:
        """The buffer of a value."""
        assert value is not None
        return self._buffers[value]

    def shape(self, value: ir.Value) -> tuple[int, ...] | None:
        """The shape of a value that has a buffer."""
        buffer = self._buffers.get(value)
        return None if buffer is None else buffer.shape

    def constant(self, value: ir.Value | None) -> Buffer | None:
        """None: a caller may fill every buffer anew."""
        return None

    def new(self, value: ir.Value, shape: Sequence[int], dtype: Any = np.float32) -> Buffer:
        """Plan a buffer, contiguous and zero."""
        buffer = self._buffers[value] = np.zeros(tuple(shape), dtype)
        return buffer

    def bind(self, value: ir.Value, array: Buffer) -> None:
        """Let a value be an array that exists already."""
        self._buffers[value] = array

    def split(
        self, total: int, operations: float, run: Callable[..., None],
        scratch: Callable[[], Any] | None = None, piece: int = 1,
    ) -> Instruction:  # fmt: skip
        """The instruction that calls run(a, b) for range(total), cut over the threads."""
        return self._threads.instruction(total, operations, run, scratch, piece)

    def at_end(self, commit: Instruction) -> None:
        """Run this last."""
        self._commits.append(commit)

    def at_end_together(self, work: Work) -> None:
        """Do this behind the instruction, cut over the threads."""
        self._works.append(work)


class ReadCycle(Cycle):
    """y [.., R] = W x of inputs x [N, C] or [N, P, C]; transposed, y [.., C] = Wᵀ x [.., R].

    An array of G matrices takes [N, G, P, C]. measuring: a tile whose inputs are all 0 is not read,
    and the noise is that of a measurement.
    """

    def __init__(
        self, array: Array, policy: LayerPolicy, shape: Sequence[int], *, transpose: bool = False,
        threads: Threads | None = None, measuring: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(array, shape[0], threads)
        self.address.measuring = measuring
        x = self._given(shape)
        nodes = _read_nodes(policy, x, transpose, managed=measuring)
        self.x = self.array(x)
        self._build(CPU.chains[ReadChain](self, ReadChain(tuple(nodes))))
        self.y = self.array(nodes[-1].outputs[0])


class UpdateCycle(Cycle):
    """W changes by -lr d xᵀ of each x [N, C] or [N, P, C] and d [.., R], one after the other.

    reaches: what says which rates float32 holds.
    """

    def __init__(
        self, array: Array, policy: LayerPolicy, shape: Sequence[int], *,
        threads: Threads | None = None,
    ) -> None:  # fmt: skip
        super().__init__(array, shape[0], threads)
        shapes = shape, (*shape[:-1], array.layout.shape[0]), ()
        x, d, lr = (self._given(each) for each in shapes)
        cell = policy.cell.settings
        state = [ir.Value(name=name) for name in cell.state]
        inputs = [ir.Value(name="W"), x, d, lr, *state]
        node = _node(cell.op, inputs, outputs=1 + len(state))
        set_attributes(node, stamp_of(policy, node))
        self.x, self.d, self.lr = (self.array(value) for value in (x, d, lr))
        self._build(CPU.rpu[cell.op](self, node))
        self.reaches = update_reaches(array.layer, array, node)


def _read_nodes(
    policy: LayerPolicy, x: ir.Value, transpose: bool, *, managed: bool = False
) -> list[ir.Node]:
    """The chain of a read, with noise management where the policy has it, or if it is `managed`.

    Nothing is known of the range of x: `auto` manages noise.
    """
    management, values = policy.management, [x]
    choice = management.noise_backward if transpose else management.noise_forward
    before, after = [], []
    if managed or choice != "never":
        before = [_node("NoiseManage", [x], outputs=2)]
        values = list(before[0].outputs)
    read = _node("Read", [values[0], ir.Value(name="W")], transpose=int(transpose))
    if is_to_be_bounded(policy, read):
        read.op_type = "BoundedRead"
    set_attributes(read, stamp_of(policy, read))
    part = read.outputs[0]
    if before:
        after = [_node("Rescale", [part, values[1]])]
        part = after[0].outputs[0]
    total = ir.node("ReduceSum", [part])
    nodes = [*before, read, *after, total]
    ir.Graph((), (), nodes=nodes)  # a read is told from others of its graph
    return nodes


def _node(op: str, inputs: Sequence[ir.Value], outputs: int = 1, **attributes: int) -> ir.Node:
    return ir.node(op, inputs, attributes, domain=DOMAIN, num_outputs=outputs, name=op.lower())
