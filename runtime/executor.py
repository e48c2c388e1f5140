"""Runs a program on a machine: buffers planned once, then a flat list of instructions.

An executor is made for one batch size and a set of wanted outputs. Making it prunes the graph,
evaluates what is constant at that batch size (shape arithmetic), gives every value its buffer and
turns every node (or fused chain of nodes) into one instruction, a function without arguments.
Running it allocates nothing. How nodes become instructions is the backend's (`backend.py`), which
sees the executor as a `Builder` (`builder.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from rpucc.errors import ModelError, RpuccError, one_line
from rpucc.runtime.builder import Buffer, ExactReads, Instruction, StepAddress
from rpucc.runtime.chains import find_chains
from rpucc.runtime.chains.graph import needed
from rpucc.runtime.counters import check_draws
from rpucc.runtime.cpu import CPU
from rpucc.runtime.fits import require
from rpucc.runtime.rest import rest_work
from rpucc.runtime.tallies import Tallies
from rpucc.runtime.threads import Threads, Work

if TYPE_CHECKING:
    from rpucc.runtime.array import Array
    from rpucc.runtime.backend import Backend
    from rpucc.runtime.machine_state import MachineState


class Executor:
    """A program bound to a machine, a batch size and wanted outputs.

    `evaluating` separates the read noise of an evaluation from that of training, and sets the mode
    of a program that has one (`StepContract.mode`); the contract's `draws` are set, too.
    `recalibrating` gives an evaluation read noise of its own. With
    `ideal` reads are exact products, whatever the layers' periphery; with `exact` those of the
    layers that it names when a step runs. `fed` are values that whoever runs it fills in; what only
    they need is left out. Without `fuse` more values have a buffer, and a step takes longer.
    `backend` makes the instructions.
    """

    def __init__(
        self,
        machine: MachineState,
        batch: int,
        outputs: Sequence[str],
        *,
        threads: Threads | None = None,
        evaluating: bool = False,
        recalibrating: bool = False,
        ideal: bool = False,
        exact: ExactReads | None = None,
        fed: Sequence[str] = (),
        fuse: bool = True,
        backend: Backend = CPU,
    ) -> None:
        fixed = machine.program.fixed_batch
        if fixed is not None and batch != fixed:
            raise RpuccError(
                f"the model works with batches of exactly {fixed} samples, not {batch}: use "
                f"--batch-size {fixed} and a number of samples that is a multiple of it"
            )
        self.machine = machine
        self.batch = batch
        self.threads = threads or Threads(1)
        self.address = StepAddress(
            machine.key, evaluating, recalibrating=recalibrating, ideal=ideal, exact=exact
        )
        self.tallies = Tallies()
        self.graph = machine.program.model.graph
        self.opset = machine.program.model.opset_imports[""]
        self._arrays: dict[ir.Value, Buffer] = {}
        self._constant: set[ir.Value] = set()
        self._instructions: list[Instruction] = []
        self.others: list[ir.Node] = []
        """Nodes that the backend leaves to what runs any operator: onnxruntime."""
        self._places: dict[ir.Node, int] = {}
        """The instruction of each node that has one."""
        self._commits: list[Instruction] = []
        self._works: list[Work] = []
        self._draws: Buffer | None = None
        """The input that says which draws a step makes, where the program has one."""
        self._values = {v.name: v for v in _all_values(self.graph)}
        wanted = [self._value(name) for name in outputs]
        self._fed = {self._value(name) for name in fed}
        self._bind_initializers()
        self._bind_inputs()
        self._build(wanted, fuse, backend)
        if self._works:
            self._commits.insert(0, self.threads.share(self._works))
        if self._commits and not evaluating:
            self._let_rest()

    def __getitem__(self, name: str) -> Buffer:
        """The buffer of a value, by its name in the program."""
        value = self._value(name)
        if value not in self._arrays:
            raise RpuccError(f"value '{name}' is not computed by this executor")
        return self._arrays[value]

    def __contains__(self, name: str) -> bool:
        return name in self._values and self._values[name] in self._arrays

    def names(self) -> list[str]:
        """The names of all values that have a buffer here."""
        return [str(value.name) for value in self._arrays]

    def run(self, sample: int = 0, since: Collection[ir.Node] = ()) -> None:
        """One step on what the input buffers hold; the updates come last.

        since: nothing before the first of these nodes is done anew, and values are there as the
        last run left them; () for all of it.
        """
        self._begin(sample)
        instructions = self._instructions
        if since:
            places = (self._places[node] for node in since if node in self._places)
            instructions = instructions[min(places, default=0) :]
        self._run(instructions, self._commits)

    def run_part(self, sample: int, places: Sequence[int], *, commit: bool) -> None:
        """A part of a step: the instructions at these places, in this order; `commit`: the updates.

        places: of `places_to` and `places_behind`. All parts of a step are given the same sample.
        """
        self._begin(sample)
        self._run([self._instructions[i] for i in places], self._commits if commit else [])

    def places_to(self, names: Collection[str]) -> set[int]:
        """The places of the instructions that values need, by their names in the program."""
        nodes = needed(self.graph, [self._value(name) for name in names], self._fed)
        return {self._places[node] for node in nodes if node in self._places}

    def places_behind(self, names: Collection[str]) -> set[int]:
        """The places of the instructions that need any of these values."""
        behind = {self._value(name) for name in names}
        found = set()
        for node in self.graph:
            if not behind.isdisjoint(node.inputs):
                behind.update(node.outputs)
                if node in self._places:
                    found.add(self._places[node])
        return found

    def _begin(self, sample: int) -> None:
        """Say which draws are next: those of the arrays, and of the network itself."""
        if not self.address.ideal:
            check_draws(sample + self.batch, "")
        self.address.sample = sample
        if self._draws is not None:
            self._draws[2] = sample

    def _run(self, instructions: Sequence[Instruction], commits: Sequence[Instruction]) -> None:
        with np.errstate(all="ignore"):  # overflow and division by zero give inf, as in ONNX
            for instruction in instructions:
                instruction()
            for commit in commits:
                commit()

    # A `Builder`, for the backend's table --------------------------------------------------------

    def matrix(self, weight: ir.Value) -> Array:
        """The matrix on devices that a Read or an Update node works on, by its weight."""
        return self.machine.arrays[str(weight.name)]

    def array(self, value: ir.Value | None) -> Buffer:
        """The buffer of an input of a node."""
        if value is None:
            raise RpuccError("a required input of a node is absent")
        return self._arrays[value]

    def new(self, value: ir.Value, shape: Sequence[int], dtype: Any = np.float32) -> Buffer:
        """Plan the buffer of an output, contiguous and zero."""
        array = np.zeros(tuple(shape), dtype)
        self._arrays[value] = array
        return array

    def bind(self, value: ir.Value, array: Buffer) -> None:
        """Let a value be (a view of) an array that exists already."""
        self._arrays[value] = array

    def constant(self, value: ir.Value | None) -> Buffer | None:
        """The value's array if it is the same in every step, else None."""
        if value is None or value not in self._constant:
            return None
        return self._arrays[value]

    def at_end_together(self, work: Work) -> None:
        """Do this after all instructions of a step and beside other such works."""
        self._works.append(work)

    def at_end(self, commit: Instruction) -> None:
        """Run this after everything else of a step."""
        self._commits.append(commit)

    def split(
        self,
        total: int,
        operations: float,
        run: Callable[..., None],
        scratch: Callable[[], Any] | None = None,
        piece: int = 1,
    ) -> Instruction:
        """The instruction that calls run(a, b) for range(total), cut over the threads."""
        return self.threads.instruction(total, operations, run, scratch, piece)

    def shape(self, value: ir.Value) -> tuple[int, ...] | None:
        """The static shape of a value at this batch size, if it is known."""
        if value.shape is None:
            return None
        dims = [d if isinstance(d, int) else self._symbol(d) for d in value.shape]
        return (
            None if any(d is None for d in dims) else tuple(int(d) for d in dims if d is not None)
        )

    # Building ------------------------------------------------------------------------------------

    def _let_rest(self) -> None:
        """Let devices walk and decay behind the updates of a step, those of frozen layers too."""
        resting = [array for array in self.machine.arrays.values() if array.rests]
        if resting:
            works = [rest_work(array, self.address) for array in resting]
            self._commits += [self.threads.share(works), *(array.refresh for array in resting)]

    def _symbol(self, dim: ir.SymbolicDim) -> int | None:
        return self.batch if str(dim.value) == "N" else None

    def _value(self, name: str) -> ir.Value:
        if name not in self._values:
            raise RpuccError(f"the program has no value named '{name}'")
        return self._values[name]

    def _bind_initializers(self) -> None:
        for name, value in self.graph.initializers.items():
            if name in self.machine.held:
                self._arrays[value] = self.machine.held[name]
            elif name in self.machine.values:
                self._arrays[value] = self.machine.values[name]
                if name not in self.machine.updates:
                    self._constant.add(value)

    def _bind_inputs(self) -> None:
        for value in dict.fromkeys([*self.graph.inputs, *self._fed]):
            shape = self.shape(value)
            if shape is None:
                raise RpuccError(f"input '{value.name}' {value.shape}: its shape is not static")
            dtype = value.dtype.numpy() if value.dtype is not None else np.float32
            self._arrays[value] = np.zeros(shape, dtype)
            step = self.machine.program.step
            if value.name == step.mode:
                self._arrays[value][...] = not self.address.evaluating
                self._constant.add(value)
            elif value.name == step.draws:
                self._draws = self._arrays[value]
                self._draws[:2] = self.address.key

    def _build(self, wanted: Sequence[ir.Value], fuse: bool, backend: Backend) -> None:
        nodes = needed(self.graph, wanted, self._fed)
        chains = find_chains(nodes, set(wanted), backend.chains, fuse)
        for node in nodes:
            if node in chains.inside:
                continue
            chain = chains.ends.get(node)
            if chain is None and self._is_constant(node):
                with _naming(node), np.errstate(all="ignore"):
                    instruction = self._instruction(node, backend)
                    if instruction is not None:
                        instruction()
                self._constant.update(node.outputs)
                continue
            with _naming(node):
                if chain is not None:
                    instruction = backend.chains[type(chain)](self, chain)
                    self._check_stated(node)
                else:
                    instruction = self._instruction(node, backend)
            if instruction is not None:
                self._places |= dict.fromkeys(
                    chain.nodes if chain else (node,), len(self._instructions)
                )
                self._instructions.append(instruction)
            self._commit_digital(node)

    def _instruction(self, node: ir.Node, backend: Backend) -> Instruction | None:
        build = backend.builder_of(self, node)
        if build is None:
            self.others.append(node)
            return backend.other(self, node)
        instruction = build(self, node)
        self._check_stated(node)
        return instruction

    def _check_stated(self, node: ir.Node) -> None:
        """Hold that a node's results are what the program states: later instructions rely on it.

        What `Backend.other` makes is taken as it comes: onnxruntime and ONNX's shape inference
        differ about windows in ceil_mode.
        """
        for value in node.outputs:
            stated, array = self.shape(value), self._arrays.get(value)
            if value.dtype is None or stated is None or array is None:
                continue
            require(
                node,
                array.shape == stated and array.dtype == value.dtype.numpy(),
                f"its result is {array.dtype}{list(array.shape)}, but {value.name!r} is stated as "
                f"{value.dtype.name}{value.shape}",
            )

    def _is_constant(self, node: ir.Node) -> bool:
        """Whether a node gives the same in every step: shapes do, at a fixed batch size."""
        if node.domain == "" and node.op_type in ("Shape", "Size"):
            return True
        # Of CastLike's second input only the type matters, and that never changes.
        inputs = node.inputs[:1] if node.op_type == "CastLike" else node.inputs
        return all(v is None or v in self._constant for v in inputs)

    def _commit_digital(self, node: ir.Node) -> None:
        """Copy the new value of a digital parameter into its place at the end of the step."""
        for name, next_name in self.machine.updates.items():
            if name in self.machine.held:
                continue
            for output in node.outputs:
                if output.name == next_name:
                    target, source = self.machine.values[name], self._arrays[output]
                    self.at_end(lambda t=target, s=source: np.copyto(t, s))  # type: ignore[misc]


@contextlib.contextmanager
def _naming(node: ir.Node) -> Iterator[None]:
    """Say which node it was whose inputs NumPy could not work with: only a damaged program's."""
    try:
        yield
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ModelError(
            f"node '{node.name}' ({node.op_type}): a damaged program: it cannot work on its "
            f"inputs: {one_line(error)}"
        ) from error


def _all_values(graph: ir.Graph) -> list[ir.Value]:
    values = [*graph.inputs, *graph.initializers.values()]
    for node in graph:
        values.extend(node.outputs)
    return values
