"""Weights of a machine, or of a program, in the model that the program was compiled from.

Each constant of the program is undone step by step: copies averaged, scales multiplied, batch norms
and other factors divided out, what else was added taken off. What training has not changed comes
back as the file has it. Not for where in the graph it goes: `place.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.errors import ModelError
from rpucc.layers import analog_layers, weight_scale
from rpucc.origins.matrix import MatrixOrigin
from rpucc.origins.notes import read_origins
from rpucc.origins.place import Placing
from rpucc.origins.source import SOURCE, constants_of, read_source
from rpucc.origins.terms import Norm, Origin
from rpucc.without_weights import SMALL

SMALLEST_SCALE = 1e-12
"""A batch norm that multiplies a channel by less than this cannot be divided out of a weight that
has changed: the batch norm gets the factor 1 there."""

Arrays = Mapping[str, NDArray[Any]]
Origins = Mapping[str, Origin | MatrixOrigin]


@dataclass
class Restored:
    """The user's model with other weights."""

    model: ir.Model
    written: list[str] = field(default_factory=list)
    """The constants that have other numbers now, new ones included."""
    notes: list[str] = field(default_factory=list)
    """What a user should know about it."""
    averaged: bool = False
    """Whether copies of a weight that had learned on their own became one."""


def restore(program: ir.Model, state: Arrays, label: str) -> Restored:
    """Return the model that a program was compiled from, with the weights of `state`.

    state: by initializer of the program, what its arrays hold and its digital parameters are; what
    is missing is as in the program. label: what to call the program. Raises ModelError where the
    program does not keep its model, or a weight has no place in it.
    """
    found = read_source(program)
    if found is None:
        by = program.metadata_props.get("rpucc.version", "an earlier version")
        raise ModelError(
            f"{label}: does not hold the model that it was compiled from (metadata {SOURCE}; "
            f"written by rpucc {by[:20]}), so there is nothing to write the weights into; compile "
            "and train the model again with this version"
        )
    model, lacking = found
    origins = read_origins(program)
    return _Restoring(program, origins, model, lacking, state, label).run()


def recoverable(program: ir.Model, origins: Origins, source: ir.Model) -> set[str]:
    """Return the large constants of `source` that the program's own give back, to rounding.

    Vectors are none of them: what else comes back may be divided by them.
    """
    constants = constants_of(source)
    large = {
        name: array
        for name, array in constants.items()
        if array.ndim > 1 and array.nbytes > SMALL and array.dtype == np.float32
    }
    known: dict[str, NDArray[np.bool_]] = {}
    wrong: set[str] = set()
    for entry in _entries(program, origins, {}):
        origin, name = entry.origin, entry.source
        term, array = origin.terms[0], large.get(entry.source)
        if array is None or term.dims != array.shape or len(origin.terms) > 1 or name in wrong:
            continue
        factor = term.factor(constants.__getitem__).astype(np.float32)
        given = np.multiply(term.view.of_array(array), factor) if term.factors else \
            term.view.of_array(array)  # fmt: skip
        if not np.all(np.abs(factor) > SMALLEST_SCALE) or not _alike(entry.before, given):
            wrong.add(name)
        elif term.is_whole:
            known[name] = np.ones(1, bool)
        elif name not in known:
            known[name] = np.zeros(array.size, bool)
        if name in known and not known[name].all() and name not in wrong:
            known[name][term.view.index()] = True
    return {name for name, parts in known.items() if parts.all() and name not in wrong}


def _alike(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two arrays are the same numbers, to rounding."""
    if np.array_equal(a, b):
        return True
    return bool((np.abs(a - b) <= 1e-6 * np.abs(b)).all())


@dataclass
class _Entry:
    """A weight or bias as the layer had it before it was laid out, then and now."""

    name: str
    origin: Origin
    before: NDArray[Any]
    after: NDArray[Any]

    @property
    def source(self) -> str:
        return self.origin.terms[0].source


def _entries(program: ir.Model, origins: Origins, state: Arrays) -> Iterator[_Entry]:
    scales = {str(layer.weight.name): weight_scale(layer.first)
              for layer in analog_layers(program)}  # fmt: skip
    for name, origin in origins.items():
        tensor = program.graph.initializers[name].const_value
        assert tensor is not None
        before = tensor.numpy()
        after = state.get(name, before)
        if isinstance(origin, Origin):
            yield _Entry(name, origin, before, after)
            continue
        old = origin.parts(before, scales.get(name))
        new = old if after is before else origin.parts(after, scales.get(name))
        yield _Entry(name, origin.weight, old[0], new[0])
        if origin.bias is not None:
            assert old[1] is not None
            assert new[1] is not None
            yield _Entry(name, origin.bias, old[1], new[1])


def _gathered(
    name: str, dims: tuple[int, ...], entries: list[_Entry], constants: Arrays
) -> NDArray[np.float32] | None:
    """Return a constant of the file from those of the program; None where they lack a part."""
    parts = [entry for entry in entries if entry.source == name]
    if sum(entry.origin.terms[0].view.count for entry in parts) < math.prod(dims):
        return None
    array, known = np.zeros(dims, np.float32), np.zeros(math.prod(dims), bool)
    for entry in parts:
        term = entry.origin.terms[0]
        if term.dims != dims or not term.view.is_injective:
            continue
        index = term.view.index().reshape(-1)
        with np.errstate(all="ignore"):
            values = entry.origin.first(entry.before, constants.__getitem__)
            array.reshape(-1)[index] = values.reshape(-1).astype(np.float32)
        known[index] = True
    return array if known.all() else None


class _Restoring:
    """One restoration."""

    def __init__(
        self,
        program: ir.Model,
        origins: Origins,
        model: ir.Model,
        lacking: Mapping[str, tuple[int, ...]],
        state: Arrays,
        label: str,
    ) -> None:
        self.label = label
        self._refuse_unknown(program, origins, state)
        self.entries = list(_entries(program, origins, state))
        self.constants = constants_of(model)
        for name, dims in lacking.items():
            array = _gathered(name, dims, self.entries, self.constants)
            if array is None:
                raise ModelError(f"{label}: a damaged program: it lacks a part of {name!r}")
            self.constants[name] = array
        self.placing = Placing(model, self.constants, label)
        self.result = Restored(model)
        self.placing.fill(lacking)
        self.base = dict(self.constants)
        self._note_spread(origins, state)

    def _refuse_unknown(self, program: ir.Model, origins: Origins, state: Arrays) -> None:
        """Raise ModelError for a parameter that has learned, and has no origin."""
        layers = analog_layers(program)
        # What reads see of cells is in the weight; matrices for errors alone are not the model's.
        not_home = {each for layer in layers for each in layer.state.values()}
        not_home |= {str(layer.weight.name) for layer in layers if layer.is_feedback}
        for name, after in state.items():
            if name in not_home:
                continue
            value = program.graph.initializers.get(name)
            if value is None or value.const_value is None or name in origins:
                continue
            before = value.const_value.numpy()
            if value.dtype == ir.DataType.FLOAT and not np.array_equal(before, after):
                raise ModelError(
                    f"{self.label}: {name!r} has learned, and nobody knows where in the model its "
                    "numbers belong: a pass that changed the graph has made it"
                )

    def run(self) -> Restored:
        """Write what has changed."""
        resets = self._resets()
        by_source: dict[str, list[_Entry]] = {}
        for entry in self.entries:
            by_source.setdefault(entry.source, []).append(entry)
        for source, entries in by_source.items():
            self._write(source, entries, resets)
        self.placing.pin({e.source: self._base(e) for e in self.entries})
        self.result.model = self.placing.model
        self.result.written = self.placing.written
        return self.result

    # ---------------------------------------------------------------- batch norms of no scale

    def _resets(self) -> dict[Norm, NDArray[np.bool_]]:
        """Give batch norms the factor 1 where theirs is 0 and the weight before it has changed."""
        found: dict[Norm, NDArray[np.bool_]] = {}
        for entry in self.entries:
            changed = entry.after != entry.before
            first = Origin(entry.origin.terms[:1])
            for norm, channels in first.norms().items():
                small = np.abs(norm.values(self.constants.__getitem__)) < SMALLEST_SCALE
                if small.any():
                    hit = np.zeros_like(small)
                    hit[np.broadcast_to(channels, changed.shape)[changed]] = True
                    found[norm] = found.get(norm, False) | (hit & small)
        found = {norm: hit for norm, hit in found.items() if hit.any()}
        for norm, hit in found.items():
            old = self.constants[norm.scale]
            scale = old.copy()
            deviation = norm.deviation(self.constants.__getitem__)
            scale.reshape(-1)[hit] = deviation[hit].astype(old.dtype)
            self.placing.replace(norm.scale, scale, alone=True)
            self.constants[norm.scale] = scale
            self.result.notes.append(
                f"{norm.scale}: {int(hit.sum())} of {hit.size} channels had no scale, so no weight "
                "can be told through them; there the batch norm multiplies by 1 now"
            )
        return found

    # ---------------------------------------------------------------- one constant of the file

    def _write(
        self, source: str, entries: list[_Entry], resets: Mapping[Norm, NDArray[np.bool_]]
    ) -> None:
        """Write what the entries that come from one constant have become.

        The first of them keeps it, others get one of their own where they differ.
        """
        found = [self._values(entry, resets) for entry in entries]
        if not any(changed for _, changed in found):
            return
        kept = self._is_read_elsewhere(source)
        written: NDArray[np.bool_] | None = None
        whole: NDArray[Any] | None = None
        for entry, (values, changed) in zip(entries, found, strict=True):
            term = entry.origin.terms[0]
            if kept and not changed:
                continue
            if not term.view.is_injective:  # one number for all outputs, which differ now
                if changed:
                    self.placing.at_uses(
                        source, term.uses, values, alone=len(entries) == 1 and not kept
                    )
                continue
            index = term.view.index().reshape(-1)
            if whole is None:
                whole = self._base(entry).copy()
                written = np.zeros(whole.size, bool)
            flat, numbers = whole.reshape(-1), values.reshape(-1)
            assert written is not None
            taken = written[index]
            if kept or (flat[index][taken] != numbers[taken]).any():
                own = self._base(entry).copy()
                own.reshape(-1)[index] = numbers
                self.placing.at_uses(source, term.uses, own)
                continue
            flat[index] = numbers
            written[index] = True
        if whole is not None and not kept and not np.array_equal(whole, self._base(entries[0])):
            self.placing.replace(source, whole)

    def _values(
        self, entry: _Entry, resets: Mapping[Norm, NDArray[np.bool_]]
    ) -> tuple[NDArray[np.float32], bool]:
        """Return the numbers of the file's constant in the entry's view, and whether any is new."""
        origin, term = entry.origin, entry.origin.terms[0]
        changed = entry.after != entry.before
        for norm, channels in origin.norms().items():
            if norm in resets:
                changed |= np.broadcast_to(resets[norm][channels], changed.shape)
        values = np.array(term.view.of_array(self._base(entry)), np.float32)
        if not changed.any():
            return values, False
        with np.errstate(all="ignore"):
            undone = origin.first(entry.after, self.constants.__getitem__).astype(np.float32)
        if not np.isfinite(undone[changed]).all():
            raise ModelError(
                f"{self.label}: the weights of {entry.name!r} cannot be brought back into "
                f"{entry.source!r}: the compiler multiplied it by 0, or by nearly 0"
            )
        values[changed] = undone[changed]
        return values, True

    def _base(self, entry: _Entry) -> NDArray[Any]:
        """The file's constant; of a value that the file computes, as the program has it."""
        term = entry.origin.terms[0]
        known = self.base.get(term.source)
        if known is None:
            if term.view.count != math.prod(term.dims):
                raise ValueError(f"it lacks a part of {term.source!r}")
            known = np.zeros(term.dims, np.float32)
            values = entry.origin.first(entry.before, self.constants.__getitem__)
            known.reshape(-1)[term.view.index()] = values.astype(np.float32)
            self.base[term.source] = known
        return known

    def _is_read_elsewhere(self, source: str) -> bool:
        """Whether a part of the program that does not learn has these numbers in it, too."""
        for entry in self.entries:
            if any(term.source == source for term in entry.origin.terms[1:]):
                return True
            if any(source in (norm.scale, norm.variance) for norm in entry.origin.norms()):
                return True
        return False

    # ---------------------------------------------------------------- notes

    def _note_spread(self, origins: Origins, state: Arrays) -> None:
        for name, origin in origins.items():
            if not isinstance(origin, MatrixOrigin) or origin.copies == 1 or name not in state:
                continue
            spread = origin.spread(state[name])
            if spread:
                self.result.averaged = True
                self.result.notes.append(
                    f"{name}: the mean of {origin.copies} copies that learned on their own; they "
                    f"lie {spread:.3g} (RMS) around it, so the file and the arrays differ by that"
                )
