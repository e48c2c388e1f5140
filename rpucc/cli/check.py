"""`rpucc check`: the fate of every node of a model, and all that stands in its way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from rpucc.cli import options

if TYPE_CHECKING:
    from rpucc.compiler.options import CompileOptions


@click.command("check")
@click.argument("model")
@options.target
@options.compiling()
@click.option("--all", "every", is_flag=True, help="List every node, not a summary.")
@options.as_json
@click.pass_context
def check(ctx: click.Context, /, compiling: CompileOptions, **arguments: Any) -> None:
    """Say what would become of every node of an ONNX model.

    And why: each lies on arrays, is computed digitally, becomes part of another, is left out, is
    known beforehand, or is refused. MODEL is an ONNX, .pt2 (PyTorch) or .keras file, or the
    name of a built-in model. Exit code 0 where the model would compile, 1 where not.
    """
    from rpucc.compiler.check import check_model

    def run(how: CompileOptions) -> Any:
        return check_model(arguments["model"], arguments["target"], how)

    found = run(compiling)
    # What cannot be trained may still run: the way out that most messages name.
    alone = found.training and not found.compiles
    instead = run(replace(compiling, training=False)) if alone else None
    if arguments["as_json"]:
        from rpucc.outputs import print_json

        inference = instead or (found if not found.training else None)
        compiles = inference.compiles if inference is not None else None
        print_json({**found.to_dict(), "compiles_for_inference": compiles})
    else:
        from rpucc.report.text.check import report
        from rpucc.terminal import show

        show(*report(found, instead, every=arguments["every"]))
    ctx.exit(0 if found.compiles else 1)
