"""What the tests of the back half share: targets with arrays of a given size, stages on the way."""

from __future__ import annotations

import onnx_ir as ir

from rpucc.compiler.compile import _describe
from rpucc.passes.frontend.source import Source
from rpucc.passes.importer import load_model
from rpucc.passes.pipeline import Options, build_pipeline, run_pipeline
from rpucc.target.target import Target

SIZES = [(512, 512), (128, 128), (100, 60), (7, 5)]


def with_arrays(
    *sizes: tuple[int, int], preset: str = "rpu-managed", overrides: tuple[str, ...] = ()
) -> Target:
    """A preset whose arrays are those of `sizes`, called a0, a1, …

    Biases are columns, and weights stay as they are, also where they would not fit.
    """
    plain = ("mapping.bias=array", "mapping.weight_scaling=off")
    target = Target.load(preset, (*plain, *overrides))
    data = target.model_dump(by_alias=True)
    data["array"] = [
        {"name": f"a{i}", "rows": rows, "cols": cols, "t_read": 1e-8 * (i + 1)}
        for i, (rows, cols) in enumerate(sizes)
    ]
    return Target.model_validate(data)


def imported(model: Source, target: Target) -> ir.Model:
    """The model as the first pass gets it."""
    found = load_model(model)
    _describe(found, target, (0.0, 1.0))
    return found


def lowered(
    model: Source, target: Target, *, until: str, training: bool = True, before: bool = False
) -> ir.Model:
    """The model after the pass called `until`, or just before it."""
    passes = build_pipeline(Options(target, training=training))
    index = [each.name for each in passes].index(until)
    return run_pipeline(imported(model, target), passes[: index + (not before)])


def node(model: ir.Model, name: str) -> ir.Node:
    """A node by its name."""
    return next(each for each in model.graph if each.name == name)


def ints(node: ir.Node, key: str) -> list[int]:
    """An INTS attribute."""
    return list(node.attributes.get_ints(key, ()))
