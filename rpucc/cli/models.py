"""`rpucc models`: the model zoo, and writing one of its models as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rpucc import limits
from rpucc.cli import options

if TYPE_CHECKING:
    from onnx import ModelProto

SHOWN = 80
"""Characters of a specification that is said again."""


@click.group(invoke_without_command=True)
@options.as_json
@click.pass_context
def models(ctx: click.Context, as_json: bool) -> None:
    """List the built-in models, or write one as ONNX.

    Every command that takes a MODEL takes these names as well.
    """
    if ctx.invoked_subcommand is None:
        _list(as_json)


@models.command("list")
@options.as_json
def list_(as_json: bool) -> None:
    """List the built-in models."""
    _list(as_json)


def _list(as_json: bool) -> None:
    from rpucc.models import MODELS

    rows = [
        (name, row.description, row.input_shape, row.weights, row.source)
        for name, row in MODELS.items()
    ]
    if as_json:
        from rpucc.outputs import print_json

        keys = ("name", "description", "input_shape", "weights", "source")
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    from rpucc.report.text import catalogues as lists
    from rpucc.terminal import show

    show(lists.models(rows))


@models.command()
@click.argument("name")
@click.option("-o", "--output", default=None, metavar="FILE", help="[default: NAME.onnx]")
@click.option(
    "--layers",
    default=None,
    metavar="N-N-…",
    help="Of mlp: how many numbers come in and the units of each layer.  [default: 784-256-128-10]",
)
@click.option(
    "--spec",
    default=None,
    metavar="ITEMS",
    help='Of cnn: its layers, as in "c16k5 p2 c32k5 p2 f128 f10": convolutions c with kernel k '
    "(and stride s, padding p, groups g), pools p and means a, the mean of all positions g, dense "
    "layers f.",
)
@click.option(
    "--input-shape",
    default=None,
    metavar="C,H,W",
    callback=options.sizes,
    help="Of cnn and mlp: the shape of a sample.  [default: 1,28,28; of an mlp of other sizes a "
    "vector]",
)
@click.option(
    "--activation",
    default=None,
    metavar="NAME",
    help="Of cnn and mlp, behind all layers but the last: relu, tanh, sigmoid, leaky-relu, relu6, "
    "elu, selu, celu, gelu, silu, mish, softplus, softsign, hard-sigmoid, hard-swish or none.  "
    "[default: relu of cnn, sigmoid of mlp]",
)
@click.option(
    "--batch-norm",
    is_flag=True,
    help="Of cnn and mlp: batch norms before the activations.",
)
@click.option(
    "--init",
    default=None,
    metavar="NAME",
    help="Of cnn and mlp: initial weights he, glorot, lecun, or uniform (±1/√C, as in the networks "
    "of the papers).  [default: the activation's]",
)
@click.option(
    "--seed",
    type=click.IntRange(0, limits.DRAWN),
    default=0,
    show_default=True,
    help="Fixes the initial weights.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@options.as_json
def build(
    name: str, output: str | None, seed: int, force: bool, as_json: bool, **architecture: Any
) -> None:
    """Write a built-in model as an ONNX file, or your own: cnn by --spec, mlp by --layers."""
    from rpucc.models import MODELS, save
    from rpucc.models import build as build_zoo
    from rpucc.outputs import check_new

    given = {key: value for key, value in architecture.items() if value not in (None, False)}
    _check(name, given)
    path = Path(output or f"{name}.onnx")
    own = name == "cnn" or bool(given)
    if own or name in MODELS:
        check_new(path, force=force)
    if own:
        description, weights, model = _built(name, seed, given)
    else:
        model = build_zoo(name, seed)
        description, weights = MODELS[name].description, MODELS[name].weights
    save(model, path, name)
    if as_json:
        from rpucc.outputs import print_json

        print_json({"name": name, "path": str(path), "seed": seed, "weights": weights, **given})
        return
    click.echo(f"wrote {path}: {description}; {weights:,} weights")


def _check(name: str, given: dict[str, Any]) -> None:
    """Raise UsageError for options that a model does not have."""
    from rpucc.errors import UsageError

    takes = {"cnn": "spec", "mlp": "layers"}
    for key in given:
        option = f"--{key.replace('_', '-')}"
        owners = [owner for owner, own in takes.items() if key == own] or list(takes)
        if name not in owners:
            raise UsageError(f"{option} is for models build {' and '.join(owners)}, not {name!r}")
    if name == "cnn" and "spec" not in given:
        raise UsageError('models build cnn needs --spec, as in --spec "c16k5 p2 c32k5 p2 f128 f10"')


def _built(name: str, seed: int, given: dict[str, Any]) -> tuple[str, int, ModelProto]:
    """Return what the options describe: in words, how many weights, and the model."""
    import math

    from rpucc.models import build_cnn, build_layers
    from rpucc.models.mlp import UNITS

    if name == "cnn":
        model = build_cnn(**given, seed=seed)
    else:
        model = build_layers(**{"layers": UNITS, **given}, seed=seed)
    ends = (model.graph.input[0], model.graph.output[0])
    sizes = [[d.dim_value for d in end.type.tensor_type.shape.dim[1:]] for end in ends]
    inputs, outputs = (" × ".join(map(str, size)) for size in sizes)
    kinds = (".weight", ".bias", ".scale")
    trained = [t for t in model.graph.initializer if t.name.endswith(kinds)]
    weights = sum(math.prod(t.dims) for t in trained)
    layers = " ".join(
        (given.get("spec") or given.get("layers") or "-".join(map(str, UNITS))).split()
    )
    shown = layers if len(layers) <= SHOWN else f"{layers[: SHOWN - 3]}..."
    return f"{shown}, {inputs} to {outputs}", weights, model
