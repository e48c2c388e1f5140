"""`rpucc check`: the fate of every node of a model, and all that stands in its way."""

from __future__ import annotations

from typing import Any

import click

from rpucc.cli import options


@click.command("check")
@click.argument("model")
@options.target
@options.overrides
@click.option("--inference", is_flag=True, help="Check for inference alone, not for training.")
@options.loss
@options.input_range
@options.input_shape
@click.option("--all", "every", is_flag=True, help="List every node, not a summary.")
@options.as_json
@click.pass_context
def check(ctx: click.Context, /, **arguments: Any) -> None:
    """Say what would become of every node of an ONNX model.

    And why: each lies on arrays, is computed digitally, becomes part of another, is left out, is
    known beforehand, or is refused. MODEL is an ONNX file or the name of a built-in model. Exit
    code 0 where the model would compile, 1 where not.
    """
    from rpucc.check import check_model

    def run(training: bool) -> Any:
        return check_model(
            arguments["model"],
            arguments["target"],
            training=training,
            loss=arguments["loss"],
            input_range=arguments["input_range"],
            input_shape=arguments["input_shape"],
            overrides=arguments["overrides"],
        )

    found = run(training=not arguments["inference"])
    # What cannot be trained may still run: the way out that most messages name.
    instead = run(training=False) if found.training and not found.compiles else None
    if arguments["as_json"]:
        from rpucc.cli.output import print_json

        inference = instead or (found if not found.training else None)
        compiles = inference.compiles if inference is not None else None
        print_json({**found.to_dict(), "compiles_for_inference": compiles})
    else:
        from rpucc.cli.console import show
        from rpucc.report.check import report

        show(*report(found, instead, every=arguments["every"]))
    ctx.exit(0 if found.compiles else 1)
