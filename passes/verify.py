"""Verification by execution: the model before a pass and after it compute the same.

Both are run by onnxruntime with its optimisations off (with them on, both sides are normalised to
the same graph and the check says nothing), and every value that has the same name on both sides
is compared: an output alone, behind a saturated softmax, hides most errors. Constants that keep
their name must be the same bits. Not for the analog semantics: an rpu op runs by its ideal body.

Each model runs twice: once as it is, and once with dense random data in place of what feeds each
layer, because a wrong weight behind a unit that is dead on the first data changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir

from rpucc.errors import UnverifiableError, VerificationError
from rpucc.passes.execute import (
    BATCH,
    Array,
    TooLargeError,
    layer_inputs,
    random_feeds,
    random_probes,
    run_model,
)
from rpucc.passes.fold_batchnorm import FoldBatchNorm
from rpucc.step_contract import StepContract

if TYPE_CHECKING:
    from rpucc.passes.callbacks import PassEvent

TOLERANCE = 1e-5
"""Largest difference allowed, relative to the largest magnitude of the value."""

SHAKE = 1e-6
"""Relative change of the data by which a value's own sensitivity to rounding is measured."""

SENSITIVITY_FACTOR = 4.0
"""How much more than its own sensitivity a value may differ."""

MODE_GIVEN = FoldBatchNorm.name
"""The last pass that puts an op with a mode in the place of one without."""


@dataclass(frozen=True)
class Comparison:
    """What a check found: how many values it compared and the worst of them."""

    compared: int
    worst_value: str
    worst_difference: float
    """Relative to the value's largest magnitude."""


@dataclass(frozen=True)
class Snapshot:
    """What two runs of a model gave, digests of its constants, and who makes what."""

    values: dict[str, Array]
    probes: dict[str, Array]
    """What stands in place of the layers' inputs in the second run."""
    probe: Callable[[], dict[str, Array]]
    """Does the second run; to be called (through `probed`) before a pass changes the model."""
    constants: dict[str, str]
    producers: dict[str, str]
    """Value name to a description of its node, in the order in which nodes run."""
    outputs: tuple[str, ...]
    updated: dict[str, str]
    """Of the outputs, the next values of initializers -> the initializer."""

    @cached_property
    def probed(self) -> dict[str, Array]:
        """The values of the second run, which is done when they are first asked for."""
        return self.probe()


class Verify:
    """A pipeline callback that checks each pass against the model it was given.

    Each stage's values are kept and compared with the next stage's, so no model is cloned. Raises
    VerificationError at the first pass that changes a value, or leaves a model that does not run;
    UnverifiableError where the imported model does not, or where no data can be drawn for it.
    """

    def __init__(self, seed: int = 0, tolerance: float = TOLERANCE, batch: int = BATCH) -> None:
        self.seed = seed
        self.tolerance = tolerance
        self.batch = batch
        self.results: dict[str, Comparison] = {}
        """Pass name to what its check found."""
        self._feeds: dict[str, Array] = {}
        self._probes: dict[str, Array] = {}
        self._before: Snapshot | None = None

    def __call__(self, event: PassEvent) -> None:
        """Run the model that the pass left and compare it with the one that it was given."""
        where = f"pass '{event.name}'"
        feeds = random_feeds(event.model, seed=self.seed, batch=self.batch, known=self._feeds)
        self._feeds.update(feeds)
        if self._before is None:
            self._before = first_snapshot(event.model, feeds, where, self.seed)
            self._probes = self._before.probes
            _ = self._before.probed
            return
        with _runs_as_before():
            after = take_snapshot(event.model, feeds, self._probes, where)
            self.results[event.name] = compare_snapshots(
                self._before,
                after,
                self.tolerance,
                where,
                rerun=lambda: _shaken_snapshot(event.model, feeds, self._probes, where),
                spend=True,
            )
        if event.name == MODE_GIVEN and self._begin_training(event.model):
            after = take_snapshot(event.model, self._feeds, self._probes, where)
            _ = after.probed
        self._before = after

    def _begin_training(self, model: ir.Model) -> bool:
        """Set the mode of a model that has one to training; whether it was not.

        The passes that give ops their mode have been compared as in an evaluation, which is what
        the file computes. All passes after them are compared as in training.
        """
        step = StepContract.find(model)
        if step is None or step.mode is None or self._feeds[step.mode].all():
            return False
        self._feeds[step.mode] = np.ones_like(self._feeds[step.mode])
        return True


def compare_models(
    before: ir.Model | onnx.ModelProto,
    after: ir.Model | onnx.ModelProto,
    *,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    batch: int = BATCH,
    where: str = "the compiled model",
) -> Comparison:
    """Run two models on the same random inputs and compare every value that they share.

    Inputs lie within `rpucc.input_range` of `after` (else [0, 1)); a batch that either model
    fixes is kept, else it is `batch`. Raises VerificationError, which names the first value in
    execution order that differs by more than `tolerance` of its largest magnitude, where an output
    of `before` is absent from `after`, and where `after` does not run; UnverifiableError where
    `before` does not.
    """
    before, after = _as_ir(before), _as_ir(after)
    feeds = random_feeds(before, seed=seed, batch=batch, template=after)
    first = first_snapshot(before, feeds, "the original model", seed)
    ran = next((array.shape[0] for array in feeds.values() if array.ndim), batch)
    feeds |= random_feeds(after, seed=seed, batch=ran, known=feeds)
    with _runs_as_before():
        second = take_snapshot(after, feeds, first.probes, where)
        return compare_snapshots(
            first,
            second,
            tolerance,
            where,
            rerun=lambda: _shaken_snapshot(after, feeds, first.probes, where),
            spend=True,
        )


@contextmanager
def _runs_as_before() -> Iterator[None]:
    """What ran before a pass has to run after it, unless the pass made it too large."""
    try:
        yield
    except TooLargeError:
        raise
    except UnverifiableError as error:
        raise VerificationError(str(error)) from error


# ---------------------------------------------------------------- running


def first_snapshot(
    model: ir.Model, feeds: Mapping[str, Array], where: str, seed: int = 0
) -> Snapshot:
    """Run `model` as it is, draw probes of the shapes found, and run it with them."""
    values = run_model(model, feeds, where)
    probes = random_probes(layer_inputs(model), values, seed)
    return _snapshot(model, feeds, values, probes, where)


def take_snapshot(
    model: ir.Model, feeds: Mapping[str, Array], probes: Mapping[str, Array], where: str
) -> Snapshot:
    """Run `model`, keeping every value. `where` starts the message of an error."""
    return _snapshot(model, feeds, run_model(model, feeds, where), probes, where)


def _snapshot(
    model: ir.Model,
    feeds: Mapping[str, Array],
    values: dict[str, Array],
    probes: Mapping[str, Array],
    where: str,
) -> Snapshot:
    producers = {
        output.name: f"node {node.name!r}, op {_op(node)}"
        for node in model.graph
        for output in node.outputs
        if output.name
    }
    usable = {name: array for name, array in probes.items() if name in producers}
    step = StepContract.find(model)
    return Snapshot(
        values,
        usable,
        lambda: run_model(model, feeds, f"{where} (probed)", usable) if usable else {},
        {name: _digest(value) for name, value in model.graph.initializers.items()},
        producers,
        tuple(v.name or "" for v in model.graph.outputs),
        {after: name for name, after in step.state.items()} if step is not None else {},
    )


def _shaken_snapshot(
    model: ir.Model, feeds: Mapping[str, Array], probes: Mapping[str, Array], where: str
) -> Snapshot:
    """Run `model` with all floating-point data changed by SHAKE at random signs."""
    generator = np.random.default_rng(0)

    def shaken(array: Array) -> Array:
        if array.dtype.kind != "f":
            return array
        signs = generator.choice([-1.0, 1.0], array.shape)
        return np.asarray(array * (1.0 + SHAKE * signs)).astype(array.dtype)

    return take_snapshot(
        model,
        {name: shaken(array) for name, array in feeds.items()},
        {name: shaken(array) for name, array in probes.items()},
        where,
    )


def _digest(value: ir.Value) -> str:
    """Shape, type and a hash: a pass works in place, so a reference would show no change."""
    if value.const_value is None:
        return ""
    array = value.const_value.numpy()
    content = hashlib.blake2b(array.tobytes(), digest_size=16).hexdigest()
    return f"{array.dtype}{list(array.shape)} {content}"


def _as_ir(model: ir.Model | onnx.ModelProto) -> ir.Model:
    return ir.from_proto(model) if isinstance(model, onnx.ModelProto) else model


def _op(node: ir.Node) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


# ---------------------------------------------------------------- comparing


def compare_snapshots(
    before: Snapshot,
    after: Snapshot,
    tolerance: float,
    where: str,
    rerun: Callable[[], Snapshot] | None = None,
    *,
    spend: bool = False,
) -> Comparison:
    """Compare all values and constants that both runs have; see `compare_models`.

    spend: forget the values of `before` once they are compared: those of a large network take
    gigabytes, and so three runs are held at a time instead of four.
    `rerun` runs `after` on slightly changed data. It is called only where a value differs by more
    than `tolerance`, and then allows each value a few times what that change does to it: where a
    tanh sees sums of several hundred, rounding alone exceeds 1e-5.
    """
    _check_outputs(before, after, where)
    _check_constants(before, after, where)

    def compare(run: Callable[[Snapshot], Mapping[str, Array]]) -> tuple[Comparison, str]:
        first, second = run(before), run(after)
        found, failure = _compare_values(first, second, after.producers, tolerance)
        if not failure or rerun is None:
            return found, failure
        return _compare_values(first, second, after.producers, tolerance, run(rerun()))

    found, failure = compare(lambda snapshot: snapshot.values)
    if failure:
        raise VerificationError(f"{where}: {failure}")
    if spend:
        before.values.clear()
    after_probes = after.probed  # also where nothing is compared: the next pass changes the model
    if before.probes.keys() == after.probes.keys() and after_probes:
        _, failure = compare(lambda snapshot: snapshot.probed)
    if failure:
        raise VerificationError(f"{where} (with random data into each layer): {failure}")
    return found


def _compare_values(
    before: Mapping[str, Array],
    after: Mapping[str, Array],
    producers: Mapping[str, str],
    tolerance: float,
    shaken: Mapping[str, Array] | None = None,
) -> tuple[Comparison, str]:
    """Compare the values of two runs; the text is empty, or about the first one that differs."""
    failures: list[str] = []
    compared, worst_value, worst_difference = 0, "", 0.0
    for name, producer in producers.items():
        if name not in before or name not in after:
            continue
        compared += 1
        difference, problem = _difference(before[name], after[name])
        allowed = tolerance if before[name].dtype.kind == "f" else 0.0
        if shaken is not None and name in shaken:
            natural, _ = _difference(after[name], shaken[name])
            allowed = max(allowed, SENSITIVITY_FACTOR * natural)
        if not problem and not difference <= allowed:
            problem = (
                f"relative difference {difference:.3g} > {allowed:.3g} "
                f"(largest magnitude {_peak(before[name]):.6g} before, "
                f"{_peak(after[name]):.6g} after)"
            )
        if problem:
            failures.append(f"value {name!r} ({producer}): {problem}")
        if difference > worst_difference:
            worst_value, worst_difference = name, difference
    comparison = Comparison(compared, worst_value, worst_difference)
    more = f"; {len(failures)} of {compared} values differ" if len(failures) > 1 else ""
    return comparison, f"{failures[0]}{more}" if failures else ""


def _check_outputs(before: Snapshot, after: Snapshot, where: str) -> None:
    """All outputs are there still; only how a weight changes may become another rule's."""
    updated = set(after.updated.values())
    for name in before.outputs:
        if before.updated.get(name) in updated:
            continue
        if name not in after.values and name not in after.constants:
            raise VerificationError(
                f"{where}: output {name!r} of the model before is gone; "
                "a pass keeps the names of the graph's outputs"
            )


def _check_constants(before: Snapshot, after: Snapshot, where: str) -> None:
    for name, digest in after.constants.items():
        if name in before.constants and digest != before.constants[name]:
            raise VerificationError(
                f"{where}: constant {name!r} keeps its name but its content changes; "
                "a constant that means something else needs another name"
            )


def _difference(a: Array, b: Array) -> tuple[float, str]:
    """Largest difference relative to the largest magnitude of `a`, or why there is none.

    For what is not floating point: the share of elements that differ.
    """
    if a.shape != b.shape:
        return 0.0, f"shape {list(a.shape)} before, {list(b.shape)} after, under the same name"
    if a.dtype != b.dtype:
        return 0.0, f"type {a.dtype} before, {b.dtype} after, under the same name"
    if a.size == 0:
        return 0.0, ""
    if a.dtype.kind != "f":
        return float(np.mean(a != b)), ""
    finite = np.isfinite(a)
    if not np.array_equal(finite, np.isfinite(b)):
        return 0.0, "not finite in different places"
    x, y = a[finite].astype(np.float64), b[finite].astype(np.float64)
    if x.size == 0:
        return 0.0, ""
    largest, gap = float(np.max(np.abs(x))), float(np.max(np.abs(x - y)))
    if gap == 0.0:
        return 0.0, ""
    return (gap / largest if largest > 0.0 else float("inf")), ""


def _peak(a: Array) -> float:
    finite = a[np.isfinite(a)] if a.dtype.kind == "f" else a
    return float(np.max(np.abs(finite))) if finite.size else float("nan")
