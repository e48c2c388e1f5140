"""`rpucc models`: the model zoo, and writing one of its models as ONNX."""

from __future__ import annotations

from pathlib import Path

import click

from rpucc.cli import options


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
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Fixes the initial weights.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@options.as_json
def build(name: str, output: str | None, seed: int, force: bool, as_json: bool) -> None:
    """Write a built-in model as an ONNX file."""
    from rpucc.errors import OutputError
    from rpucc.models import MODELS, write

    path = Path(output or f"{name}.onnx")
    if name in MODELS and path.exists() and not force:
        raise OutputError(f"{path}: is there already; --force replaces it")
    write(name, path, seed)
    weights = MODELS[name].weights
    if as_json:
        from rpucc.outputs import print_json

        print_json({"name": name, "path": str(path), "seed": seed, "weights": weights})
        return
    click.echo(f"wrote {path}: {MODELS[name].description}; {weights:,} weights")
