"""A program: a lowered ONNX model with the target that it was compiled for.

Everything that a program is lies in its `onnx_ir.Model`; this file reads it, saves it and loads
it. Not for making programs (compiler/compile.py) nor for running them (rpucc.runtime).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from rpucc import arguments, run_files
from rpucc.errors import ModelError, VersionError, one_line
from rpucc.files import refuse_device
from rpucc.step_contract import StepContract
from rpucc.trust import NO_TRUST, Trust, is_own
from rpucc.write_model import write_model

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rpucc.cost.network import NetworkCost
    from rpucc.origins.export import Export
    from rpucc.plan.plan import Plan
    from rpucc.target.target import Target

RESTATING = ("Softmax", "LogSoftmax", "Sigmoid", "Identity", "Reshape", "Flatten", "Squeeze")
"""What a model may end in behind the value that its loss is about."""


class Program:
    """A compiled network: `.model` is the ONNX graph, the rest is read from it.

    >>> import rpucc
    >>> program = rpucc.compile("mlp", "rpu-managed")
    >>> program.training, program.target.name
    (True, 'rpu-managed')
    """

    def __init__(
        self,
        model: ir.Model,
        *,
        verified: bool = False,
        verification: str = "",
        trust: Trust = NO_TRUST,
    ) -> None:
        self.model = arguments.instance(
            "Program(model)",
            model,
            ir.Model,
            "the ir.Model of a program; rpucc.compile makes a program of an ONNX model, "
            "rpucc.Program.load reads one from its file",
        )
        self.verified = verified
        """True where the compiler compared every value with onnxruntime after every pass."""
        self.verification = verification
        """What the compiler compared with what, or why it did not; empty where nobody asked."""
        self.trust = trust
        """Which devices of a user's own a machine of the program may import."""

    @cached_property
    def target(self) -> Target:
        """The target that the program was compiled for."""
        from rpucc.target.target import Target

        return Target.from_json(self._note("rpucc.target"))

    @cached_property
    def plan(self) -> Plan:
        """How the network lies on the arrays; derived from the graph, never stored."""
        from rpucc.plan.plan import Plan

        self._note("rpucc.target")
        try:
            return Plan.from_model(self.model)
        except ValueError as error:
            raise ModelError(f"program {self.name!r}: a damaged program: {error}") from error

    @property
    def cost(self) -> NetworkCost:
        """What one sample costs in time and energy: the plan's."""
        return self.plan.cost

    @property
    def own_devices(self) -> tuple[str, ...]:
        """The devices of a user's own, "module:Class", that its layers have; each once."""
        from rpucc.layers import analog_layers

        models: list[str] = []
        for layer in analog_layers(self.model):
            policy = self.target.for_layer(layer.name)
            planes = policy.cell.settings.arrays(training=bool(layer.updates))
            models += [policy.plane_devices[plane].model for plane in planes]
        return tuple(dict.fromkeys(model for model in models if is_own(model)))

    @property
    def name(self) -> str:
        """The name of the model's graph."""
        return self.model.graph.name or "model"

    @property
    def training(self) -> bool:
        """True where the program holds loss, backward and update cycles."""
        return bool(self.updates)

    @property
    def input_range(self) -> tuple[float, float]:
        """The interval that the input's elements lie in."""
        lo, hi = (float(word) for word in self._note("rpucc.input_range").split())
        return lo, hi

    @cached_property
    def step(self) -> StepContract:
        """What one step takes, gives, changes and measures; of inference, only gives."""
        return StepContract.of(self.model)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the data inputs, [N, ...] each."""
        return self.step.inputs

    @property
    def output(self) -> str:
        """The name of the logits (or of the output, where there is no loss)."""
        return self.step.output

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of all outputs of the network, `output` first; no loss and no new weights."""
        own = {self.output, *self.step.computed}
        names = (str(value.name) for value in self.model.graph.outputs)
        return (self.output, *(name for name in names if name not in own))

    def restates_output(self, name: str) -> bool:
        """Whether an output is `output` but for a last softmax, sigmoid or change of shape."""
        value = next(v for v in self.model.graph.outputs if v.name == name)
        while value.name != self.output:
            node = value.producer()
            if node is None or node.op_type not in RESTATING or node.inputs[0] is None:
                return False
            value = node.inputs[0]
        return True

    @property
    def loss(self) -> str:
        """The loss: "cross-entropy" and the others of `rpucc.losses.LABELS`, or "none"."""
        return self.step.loss

    @property
    def fixed_batch(self) -> int | None:
        """The only batch size the model works with; None where any does."""
        text = self.model.metadata_props.get("rpucc.fixed_batch")
        return None if text is None else int(text)

    @property
    def before_training(self) -> bool:
        """True for the program of a run folder, whose trained weights are in its checkpoint."""
        return run_files.BEFORE_TRAINING in self.model.metadata_props

    @property
    def other_names(self) -> dict[str, list[str]]:
        """What else the file and its weights call the layers, by the names they go by here."""
        from rpucc.layers import other_names

        return other_names(self.model)

    @property
    def updates(self) -> Mapping[str, str]:
        """Weight initializer name to the graph output that holds its new value."""
        return self.step.state

    def _note(self, key: str) -> str:
        """Return a metadata value that every program has."""
        value = self.model.metadata_props.get(key)
        if value is None:
            raise ModelError(f"model {self.name!r}: is no program, its metadata lack {key}")
        return value

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the program to `path` as an ONNX file; weights over 1.9 GB go beside it.

        The file appears whole or not at all. Raises OutputError where it cannot be written, and
        ArgumentError for what is no path.
        """
        write_model(self.model, arguments.path("Program.save(path)", path))

    def export(self, path: str | os.PathLike[str] | None = None) -> Export:
        """Return the model that the program was compiled from, with the weights of the program.

        These are the weights before any training; `Machine.export` has those after it. path: where
        to write it, as `Export.save` does; None to write nothing.

        Raises ModelError where the program does not hold that model (an earlier version compiled
        it), OutputError where the file cannot be written, ArgumentError for what is no path.
        """
        from rpucc.origins.export import export

        place = None if path is None else arguments.path("Program.export(path)", path)
        found = export(self.model, {}, f"program {self.name!r}")
        if place is not None:
            found.save(place)
        return found

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, trust: bool | Collection[str] = False
    ) -> Program:
        """Read a program that `save` wrote and check it; runs nothing that it names.

        trust: whether a machine of the program may import the modules of devices that are no
        models of rpucc's ("module:Class"): True for all, a list for these, by default none. They
        are looked for beside the file, then on Python's path.

        Raises ModelError, one line that names the file, where it cannot be read, is not ONNX,
        was not compiled by rpucc, is of another version (VersionError), or is damaged;
        ArgumentError for what is no path.

        >>> import rpucc, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     rpucc.compile("mlp", "ideal", training=False).save(f"{folder}/mlp.onnx")
        ...     Program.load(f"{folder}/mlp.onnx").training
        False
        """
        place = arguments.path("Program.load(path)", path)
        program = cls(read_model(place), trust=Trust.given(trust, (place.resolve().parent,)))
        _check_program(program, place)
        return program

    def _repr_html_(self) -> str:
        from rpucc.report.html.repr_html import program_html

        return program_html(self)

    def __repr__(self) -> str:
        kind = "training" if self.training else "inference"
        return f"<Program {self.name!r}, {kind}, {self.model.graph.num_nodes()} nodes>"


def is_program(model: ir.Model) -> bool:
    """Tell whether rpucc compiled this model."""
    return "rpucc.version" in model.metadata_props


# ---------------------------------------------------------------- files


def read_model(path: str | os.PathLike[str]) -> ir.Model:
    """Read a valid ONNX file with its external data.

    Raises ModelError; VersionError for a program of another version of the rpu operators, whatever
    else onnx would say of it.
    """
    import onnx
    import onnx.checker

    path = Path(path)
    try:
        with path.open("rb") as file:
            refuse_device(file)
            if not file.read(1):
                raise ModelError(f"{path}: the file is empty")
        onnx.checker.check_model(path)  # also refuses external data outside the model's folder
        model = ir.load(path, format="protobuf")
        ir.external_data.load_to_model(model)
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(f"{path}: cannot read: {error.strerror or error}") from error
    except Exception as error:  # protobuf, onnx and onnx-ir raise many unrelated classes
        _check_version(_without_weights(path), path)
        raise ModelError(
            f"{path}: not an ONNX file, or a damaged one: {one_line(error)}"
        ) from error
    _check_version(model, path)
    return model


def _without_weights(path: Path) -> ir.Model | None:
    """Read what onnx's checker refused, as far as that goes."""
    try:
        return ir.load(path, format="protobuf")
    except Exception:  # noqa: BLE001  any damage at all may have been done to a file
        return None


def _check_version(model: ir.Model | None, path: Path) -> None:
    """Refuse a program of another version of the rpu operators, with the way out."""
    from rpucc import __version__
    from rpucc.opset import DOMAIN, VERSION

    if model is None or not is_program(model):
        return
    found = model.opset_imports.get(DOMAIN, VERSION)
    if found == VERSION:
        return
    by = one_line(model.metadata_props["rpucc.version"])[:20]
    older = "compile the original model again with this version"
    raise VersionError(
        f"{path}: a program of version {found} of the rpu operators, written by rpucc {by}; rpucc "
        f"{__version__} reads version {VERSION}: "
        f"{older if found < VERSION else 'install a newer rpucc'}"
    )


def _check_program(program: Program, where: Path) -> None:
    """Refuse a model, just read from `where`, that is no sound rpucc program."""
    if not is_program(program.model):
        raise ModelError(
            f"{where}: an ONNX model, but not an rpucc program; compile it first (rpucc compile)"
        )
    try:
        problem = next(problems_of(program, where), None)
    except Exception as error:  # any damage at all may have been done to a file
        raise ModelError(f"{where}: a damaged program: {one_line(error)}") from error
    if problem is not None:
        raise ModelError(f"{where}: a damaged program: {one_line(problem)}")


def problems_of(program: Program, where: Path | None = None) -> Iterator[str]:
    """Yield what is wrong with a program, the form first: what comes later relies on it.

    where: the file that it was just read from, if any. Damage may make it raise anything.
    """
    from rpucc.program_check import form_problems, meaning_problems
    from rpucc.structure import structure_problems

    yield from form_problems(program.model)
    yield from structure_problems(program.model, where)
    yield from meaning_problems(program.model, program.target)
