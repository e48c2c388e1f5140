"""`rpucc prune`: a network whose smallest weights are 0, for targets that keep them so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rpucc.cli import options

if TYPE_CHECKING:
    from rpucc.pruning import Pruned


def _size(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Read the size of a block."""
    if value is None:
        return None
    words = value.lower().replace("×", "x").split("x")
    if len(words) != 2 or not all(w.isascii() and w.isdigit() and 0 < len(w) < 9 for w in words):
        raise click.BadParameter(f"needs rows and columns, as in 16x16; found {value!r}")
    sizes = tuple(map(int, words))
    if 0 in sizes:
        raise click.BadParameter(f"needs rows and columns of 1 or more; found {value!r}")
    return sizes


@click.command()
@click.argument("model")
@click.option(
    "--share",
    type=click.FloatRange(0, 1, max_open=True),
    required=True,
    callback=options.finite,
    help="The share of the weights that are to be 0, as in 0.9; of each layer, unless --together.",
)
@click.option(
    "--blocks",
    default=None,
    metavar="RxC",
    callback=_size,
    help="Take whole blocks of a layer's matrix as it lies on arrays, as in 16x16.  [default: "
    "single weights]",
)
@click.option(
    "--together",
    is_flag=True,
    help="Rank the weights of all layers together: layers of small weights lose more.",
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="NAME",
    help="Only this layer, or those that a glob matches; may be repeated.  [default: all]",
)
@click.option("-o", "--output", required=True, metavar="FILE", help="The ONNX file to write.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@options.as_json
def prune(
    model: str, output: str, force: bool, as_json: bool, layers: tuple[str, ...], **how: Any
) -> None:
    """Set the smallest weights of a network to 0, and write it as ONNX.

    MODEL is a model of the zoo or a file. Train what comes out with --set update.mask=zeros, and
    the zeros stay 0: no pulse reaches them, and tiles of nothing else take no array. Biases and
    batch norms stay as they are.
    """
    from rpucc.outputs import check_new
    from rpucc.pruning import prune as prune_model

    path = Path(output)
    check_new(path, model, force=force)
    found = prune_model(model, layers=layers or None, **how)
    found.save(path)
    if as_json:
        _print_json(found, path)
    else:
        _show(found, path)


def _print_json(found: Pruned, path: Path) -> None:
    from rpucc.outputs import print_json

    rows = [
        {"name": each.name, "weights": each.weights, "zeros": each.zeros, "share": each.share}
        for each in found.layers
    ]
    print_json({"output": str(path), "layers": rows})


def _show(found: Pruned, path: Path) -> None:
    from rpucc.report.text.catalogues import pruned
    from rpucc.terminal import say, show

    show(pruned((each.name, each.weights, each.zeros) for each in found.layers))
    say(f"wrote {path}")
