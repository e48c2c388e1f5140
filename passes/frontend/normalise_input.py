"""Normalisation of the data as the first nodes of a network: minus a mean, over a deviation.

The nodes are those of any ONNX model: they are verified, planned, costed and exported as if the
file had them. Not for how stored samples are brought into the input range (`runtime/feed.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from rpucc.constant_weights import NORMALISES
from rpucc.errors import UsageError
from rpucc.passes.frontend.inputs import network_inputs
from rpucc.passes.frontend.messages import label_of, shape_text

OLDEST_OPSET = 7
"""Before it, Sub and Div do not broadcast as they do now."""

Numbers = float | Sequence[float]

_FLOATS = (ir.DataType.FLOAT16, ir.DataType.FLOAT, ir.DataType.DOUBLE)


@dataclass(frozen=True)
class Normalisation:
    """What one input is normalised by: arrays that broadcast against it, None for nothing."""

    mean: npt.NDArray[Any] | None
    std: npt.NDArray[Any] | None


def normalisations(
    model: ir.Model, mean: Numbers | None, std: Numbers | None
) -> dict[str, Normalisation]:
    """Return the normalisation of each input that the network reads, by the input's name.

    mean, std: one number, or one for each channel: the first axis behind the batch, else the last.
    Raises UsageError where an input has another number of channels.
    """
    names = network_inputs(model)
    found = {}
    for value in model.graph.inputs:
        if value.name in names and value.dtype in _FLOATS:  # others are refused by the importer
            found[str(value.name)] = Normalisation(
                _broadcast(model, value, "--mean", mean), _broadcast(model, value, "--std", std)
            )
    return found


def normalise_inputs(model: ir.Model, by: dict[str, Normalisation]) -> None:
    """Put a Sub and a Div between inputs and what reads them. Raises UsageError for old opsets.

    Their numbers are Constant nodes: no weights, to a program or whoever exports it.

    Before: `Conv(x, W)`.
    After:  `normalise_mean: Sub(x, mean)`, `normalise_std: Div(·, std)`, `Conv(·, W)`.
    """
    opset = model.opset_imports.get("", OLDEST_OPSET)
    if opset < OLDEST_OPSET:
        raise UsageError(
            f"{label_of(model)}: --mean and --std need opset {OLDEST_OPSET}, the file has {opset}; "
            "convert it with onnx.version_converter"
        )
    taken = set(_names(model.graph))
    for value in list(model.graph.inputs):
        each = by.get(str(value.name))
        if each is None or value.dtype is None:
            continue
        uses, result = list(value.uses()), value
        nodes: list[ir.Node] = []
        for op, what, numbers in (("Sub", "mean", each.mean), ("Div", "std", each.std)):
            if numbers is None:
                continue
            number = ir.node("Constant", [], {"value": ir.tensor(numbers)})
            number.name = number.outputs[0].name = _free(f"{value.name}.{what}", taken)
            number.metadata_props[NORMALISES] = what
            constant = number.outputs[0]
            node = ir.Node("", op, [result, constant], name=_free(f"normalise_{what}", taken))
            result = node.outputs[0]
            result.name = _free(f"{value.name}.normalised_{what}", taken)
            result.dtype = value.dtype
            nodes += [number, node]
        for node, index in uses:
            node.replace_input_with(index, result)
        if uses:
            model.graph.insert_before(model.graph[0], nodes)


def _broadcast(
    model: ir.Model, value: ir.Value, flag: str, numbers: Numbers | None
) -> npt.NDArray[Any] | None:
    """Return numbers as an array that broadcasts against an input."""
    if numbers is None:
        return None
    shape = list(value.shape or ())
    kind = value.dtype or ir.DataType.FLOAT
    array: npt.NDArray[Any] = np.atleast_1d(np.array(numbers, kind.numpy()))
    if len(array) == 1:
        return array
    for axis in (1, len(shape) - 1):
        if len(shape) > 1 and shape[axis] == len(array):
            return array.reshape([len(array) if i == axis else 1 for i in range(1, len(shape))])
    raise UsageError(
        f"{label_of(model)}: {flag} has {len(array)} numbers, but the input {value.name!r} is "
        f"{shape_text([d if isinstance(d, int) else d.value for d in shape])}; give one for all or "
        "one for each channel"
    )


def _names(graph: ir.Graph) -> Iterator[str]:
    """Yield the names that are taken, of values and of nodes."""
    for value in (*graph.inputs, *graph.initializers.values()):
        yield str(value.name)
    for node in graph:
        yield str(node.name)
        yield from (str(value.name) for value in node.outputs)


def _free(name: str, taken: set[str]) -> str:
    """Return a name that nothing has, and take it."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(found)
    return found
