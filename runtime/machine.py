"""A machine: a compiled program on fabricated arrays, with all state that training changes.

Not for running it: that is the executor's (`executor.py`) and the trainer's (`trainer.py`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc import arguments, portable, run_files
from rpucc.batch_norms import fixed_statistics
from rpucc.errors import CheckpointError, RpuccError
from rpucc.feedback import is_feedback
from rpucc.layers import analog_layers
from rpucc.masks import missing_devices
from rpucc.program import Program
from rpucc.runtime.array import Array
from rpucc.runtime.cells.make import make_cells
from rpucc.runtime.checkpoint_file import (
    Checkpoint,
    program_beside,
    read_checkpoint,
    write_folder,
)
from rpucc.runtime.counters import MAX_SEED, Counters
from rpucc.runtime.devices import device_of
from rpucc.runtime.kernels.philox import seed_key
from rpucc.runtime.layout import Layout
from rpucc.runtime.machine_loop import MachineLoop

if TYPE_CHECKING:
    from rpucc.layers import AnalogLayer
    from rpucc.origins.export import Export
    from rpucc.runtime.spread import Symmetry

PROGRAM = "a Program, as rpucc.compile(model, target) makes and rpucc.Program.load(path) reads"


class Machine(MachineLoop):
    """A program on simulated arrays, made from a seed.

    Fabricates every device of every array, programs the model's weights into them and holds the
    state: the same program and seed give the same machine. Raises TargetError where a layer's
    device is someone's own class that nothing but the program's file names (`Program.load`).

    program: what `rpucc.compile` or `rpucc.Program.load` returns.
    seed: 0 to 2^64 - 1; fixes the devices, all noise and the order of the samples in training.
        The initial weights are the model's own.

    `arrays` has the array of each layer by the name of its weight (`.weights`, float32 [R, C]),
    `values` everything else, `history` a record of each trained epoch. `forward`, `backward` and
    `update` are a training step of your own, `Trainer` has whole trainings.
    Memory: a few bytes a weight (`bytes_per_weight`). Raises ArgumentError for other arguments,
    TargetError where a device model does not take its parameters, RpuccError where
    RPUCC_PORTABLE=1 is asked for in vain (docs/same-bits.md).

    >>> import rpucc
    >>> machine = rpucc.Machine(rpucc.compile("mlp", "rpu-managed", verify=False), seed=1)
    >>> machine.arrays["fc1.W"].weights.shape
    (256, 785)
    """

    def __init__(self, program: Program, seed: int = 0) -> None:
        portable.check()
        self.program = arguments.instance("Machine(program)", program, Program, PROGRAM)
        self.seed = arguments.integer("seed", seed, 0, MAX_SEED)
        self.key = seed_key(self.seed)
        self.counters: Counters = Counters()
        self.history: list[dict[str, Any]] = []
        self.arrays: dict[str, Array] = {}
        self.held: dict[str, NDArray[Any]] = {}
        """What arrays hold, by the initializers that it is of: weights, and the state of cells."""
        for layer in analog_layers(program.model):
            weight = str(layer.weight.name)
            self.arrays[weight] = array = self._make_array(layer)
            self.held |= {layer.state_name(key): held for key, held in array.state().items()}
        self.values: dict[str, NDArray[Any]] = {
            name: np.array(value.const_value.numpy())
            for name, value in program.model.graph.initializers.items()
            if name not in self.held and value.const_value is not None
        }
        """Every other initializer: constants and digital weights."""
        self.updates = program.step.state
        self._statistics = fixed_statistics(program.model)
        self._remeasured: frozenset[str] = frozenset()
        self.revision = 0
        """Another one after constants were replaced, which executors may have used."""

    def _make_array(self, layer: AnalogLayer) -> Array:
        attributes = layer.first.attributes
        if layer.weight.const_value is None:
            raise RpuccError(f"layer '{layer.name}': its weights are missing from the program")
        policy = self.program.target.for_layer(layer.name)
        layout = Layout.of(
            attributes.get_ints("row_cuts", ()),
            attributes.get_ints("col_cuts", ()),
            self.key,
            first_tile=attributes.get_int("first_tile", 0),
            groups=layer.matrices,
            absent=layer.absent,
        )
        weights = layer.weight.const_value.numpy()
        return make_cells(
            layer.name,
            layout,
            policy.cell.settings,
            lambda plane: device_of(policy, self.program.trust, plane),
            weights,
            pulsed=policy.update.pulsed,
            calibration=policy.calibration,
            training=bool(layer.updates),
            mask=layer.mask,
            missing=missing_devices(layer),
        )

    @property
    def clipped(self) -> int:
        """Weights that lay outside their device's bounds when they were programmed."""
        return sum(array.clipped for array in self.arrays.values())

    @property
    def clipped_by_layer(self) -> dict[str, tuple[int, int]]:
        """Layer to the weights that were clipped when they were programmed, of how many."""
        return {array.layer: (array.clipped, array.size) for array in self.arrays.values()}

    @property
    def symmetry(self) -> dict[str, Symmetry]:
        """What zero-shifting found and left, by the names of the layers that had it."""
        found = {array.layer: array.symmetry for array in self.arrays.values()}
        return {layer: symmetry for layer, symmetry in found.items() if symmetry is not None}

    @property
    def programmed(self) -> int:
        """Numbers that its arrays hold: analog weights, and those of feedback matrices."""
        return sum(array.size for array in self.arrays.values())

    @property
    def bytes_per_weight(self) -> float:
        """Bytes of state (weight and device parameters) per number on arrays."""
        return sum(array.bytes for array in self.arrays.values()) / max(self.programmed, 1)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what training has changed, the seed and the history; `Machine.load` reads it.

        path: a folder, made where it is not there, that gets the program (program.rpu.onnx) and the
            checkpoint (checkpoint.safetensors) beside it; or the name of a checkpoint alone, a file
            that ends in .safetensors, in a folder that is there.

        Each file appears whole or not at all. Raises OutputError where it cannot be written, or
        where the folder holds another program; ArgumentError for what is no path.
        """
        write_folder(self.checkpoint(), self.program, arguments.path("Machine.save(path)", path))

    def drift(self, seconds: float) -> None:
        """Let so many seconds pass, above 0: devices drift from where they were last written.

        Calls add up: a day after a second is 86,401 s from when weights were programmed, or a
        device was pulsed last. Raises RpuccError where no device drifts, ArgumentError for other
        times.
        """
        time = arguments.positive("drift(seconds)", seconds)
        drifted = [array.pass_time(time) for array in self.arrays.values()]
        if not any(drifted):
            raise RpuccError(
                f"program {self.program.name!r}: drift: none of its devices drifts; set device.nu"
            )
        self._forget_forwards()

    def export(
        self, path: str | os.PathLike[str] | None = None, *, measured: int | None = None
    ) -> Export:
        """Return the model that the program was compiled from, with the weights of the arrays.

        Names, batch norms and biases are the model's; it computes what `Trainer.evaluate(...,
        ideal=True)` does. Digital parameters come home, too.

        path: where to write it: ONNX, or to a name that ends in .safetensors all weights under the
            names that the model has for them; None to write nothing.
        measured: read the weights as a chip would have to: by least squares through so many noisy
            reads of each, 2 to 2^20; None to read them as they are.

        Raises ModelError where the program does not hold that model (an earlier version compiled
        it), or a weight has no place in it; OutputError where the file cannot be written;
        ArgumentError for other arguments.

        >>> import rpucc
        >>> machine = rpucc.Machine(rpucc.compile("mlp", "rpu-managed", verify=False))
        >>> machine.export().weights["fc3.weight"].shape
        (10, 128)
        """
        from rpucc.origins.export import export

        place = None if path is None else arguments.path("Machine.export(path)", path)
        state, errors = dict(self.state()), dict[str, float]()
        if measured is not None:
            from rpucc.runtime.measure import MOST_READS, measure

            reads = arguments.integer("measured", measured, 2, MOST_READS)
            home = {name: a for name, a in self.arrays.items() if not is_feedback(a.layer)}
            for name, found in measure(
                home, self.program.target, self.counters.sample, reads
            ).items():
                array = self.arrays[name]
                array.main.leave_missing(found.weights)  # known to be 0, whatever a read says
                state[name], errors[array.layer] = found.weights, found.error
        exported = export(self.program.model, state, f"program {self.program.name!r}", errors)
        if place is not None:
            exported.save(place)
        return exported

    @classmethod
    def load(cls, path: str | os.PathLike[str], program: Program | None = None) -> Machine:
        """Return the machine that `save`, `Trainer.fit` or `rpucc train` wrote.

        It is ready to evaluate and to train on, at the very sample where it stood.

        path: a run folder or one that `save` made, or a checkpoint file.
        program: the Program it belongs to; by default the program.rpu.onnx beside the checkpoint.
            One with devices of a user's own has to be loaded with `Program.load(path, trust=True)`.

        Raises CheckpointError where there is no checkpoint, or it is damaged or another program's,
        or where there is no program beside it; TargetError as `Machine`; ArgumentError for other
        arguments.

        >>> import rpucc, tempfile
        >>> machine = rpucc.Machine(rpucc.compile("mlp", "ideal", verify=False), seed=5)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     machine.save(folder)
        ...     rpucc.Machine.load(folder).seed
        5
        """
        place = arguments.path("Machine.load(path)", path)
        if place.is_dir():
            place = place / run_files.CHECKPOINT
        if program is None:
            program = program_beside(place)
        arguments.instance("Machine.load(program)", program, Program, "a Program, or None")
        found = read_checkpoint(place, program)
        machine = cls(program, found.seed)
        machine.restore(found, place)
        return machine

    def restore(self, found: Checkpoint, place: Path) -> None:
        """Stand where a checkpoint of this program and seed stood, which was read from `place`.

        Raises CheckpointError where it is damaged; the machine stays as it is, then.
        """
        missing = sorted(self.state().keys() - self._statistics - found.weights.keys())
        if missing:
            raise CheckpointError(
                f"{place}: the checkpoint lacks what its cells hold: '{missing[0]}'"
            )
        for layer in analog_layers(self.program.model):
            array = self.arrays[str(layer.weight.name)]
            held = {key: found.weights[layer.state_name(key)] for key in array.state()}
            if (far := array.farthest(held)) is not None:
                raise CheckpointError(
                    f"{place}: weight '{layer.weight.name}' holds {far:g}, which lies beyond the "
                    "bounds of its device"
                )
        self._forget_forwards()
        self.counters, self.history = found.counters, found.history
        self.set_state(found.weights)

    def checkpoint(self) -> Checkpoint:
        """Return what `save` writes: the arrays themselves, no copies."""
        return Checkpoint(self.seed, self.counters, self.history, self.state())

    def begin_anew(self) -> None:
        """Count epochs from here on: weights and devices stay, and no random draw comes again."""
        before = self.counters
        begun = before.epoch + (1 if before.done else 0)
        self.counters = Counters(sample=before.sample, earlier=before.earlier + begun)
        self.history = []

    def _repr_html_(self) -> str:
        from rpucc.report.html.repr_machine import machine_html

        return machine_html(self)

    def __repr__(self) -> str:
        done = self.counters
        begun = f" and {done.done:,} samples" if done.done else ""
        return (
            f"<Machine {self.program.name!r} for {self.program.target.name}, seed {self.seed}: "
            f"{self.weights:,} weights on arrays, {done.epoch} epochs{begun} trained>"
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """What training changes, by initializer name: what arrays hold, and digital parameters.

        Planes that are no initializer, as reads see a sum that is one, follow their weight's name.
        Statistics of batch norms that training does not change are there once they were measured
        again (`Trainer.recalibrate`).
        """
        digital = {name: self.values[name] for name in self.updates if name in self.values}
        again = {name: self.values[name] for name in sorted(self._remeasured)}
        return {**self.held, **digital, **again}

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Put back what `state` gave, of the same names and shapes."""
        known = self.program.model.graph.initializers
        for name in self._statistics:
            tensor = known[name].const_value
            assert tensor is not None
            found = state[name] if name in state else tensor.numpy()
            if not np.array_equal(self.values[name], found):
                np.copyto(self.values[name], found)
                self.revision += 1
        self._remeasured = self._statistics & state.keys()
        for name, array in self.state().items():
            np.copyto(array, state[name])

    def replace_statistics(self, found: Mapping[str, NDArray[Any]]) -> None:
        """Let batch norms have these means and variances, by the names of initializers."""
        for name, array in found.items():
            np.copyto(self.values[name], array, casting="same_kind")
        constant = self._statistics & found.keys()
        self._remeasured |= constant
        self.revision += bool(constant)
