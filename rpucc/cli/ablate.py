"""`rpucc ablate`: which effect of a target costs accuracy.

Not for how it is found (rpucc.runs.ablate) nor for the words of the table.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rpucc import limits
from rpucc.cli import options
from rpucc.cli.drawings import STANDARD_OUTPUT
from rpucc.cli.reproduce import repeatable, seeds_of
from rpucc.errors import UsageError

if TYPE_CHECKING:
    from rpucc.experiments.ablation import Ablation

TRAINING_ONLY = ("epochs", "batch_size", "lr", "lr_schedule", "layers", "runs", "jobs")
"""Parameters that have no effect with --evaluate."""


def _words(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    """Read names between commas."""
    if value is None:
        return None
    return tuple(word.strip() for word in value.split(",") if word.strip())


@click.command()
@click.argument("target", metavar="TARGET")
@click.argument("model", required=False, metavar="[MODEL]")
@click.option("--data", default=None, metavar="DATA", help="What --data of rpucc train takes.")
@options.data_dir
@click.option(
    "--evaluate",
    is_flag=True,
    help="Train nothing: what acts on reads of the weights as they are.  TARGET may be a run "
    "folder then, without a MODEL.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1, limits.EPOCHS),
    default=10,
    show_default=True,
    help="Passes over the training data; errors are means over the last third.",
)
@click.option(
    "--seeds",
    callback=seeds_of,
    default="3",
    show_default=True,
    metavar="N | LIST",
    help="So many seeds, or these, as in 0,1,2.",
)
@options.batch_size
@options.learning_rate
@options.learning_rate_schedule
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the target in every row; may be repeated.",
)
@click.option(
    "--causes",
    callback=_words,
    default=None,
    metavar="LIST",
    help="Only these, as in read-noise,adc.  [default: all that the target has]",
)
@click.option(
    "--layers",
    multiple=True,
    metavar="LIST",
    help="Layers that lose all variations of their devices, in a row of its own: conv2, or "
    "conv1,conv2; may be repeated.",
)
@click.option(
    "--runs",
    multiple=True,
    metavar="FOLDER",
    help="Take finished runs from here too: a run folder, or one that holds some; may be repeated.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, limits.THREADS),
    default=None,
    help="Trainings at a time, each in a process (needs joblib).  [default: one a processor]",
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FOLDER",
    help="Where runs, table, figures and page go.",
)
@click.option(
    "--csv", default=None, metavar="FILE.csv", help="Write the table there, too; - is stdout."
)
@options.portable
@options.trust
@options.as_json
@click.pass_context
def ablate(
    ctx: click.Context,
    /,
    target: str,
    model: str | None,
    evaluate: bool,
    output: str,
    csv: str | None,
    as_json: bool,
    **how: Any,
) -> None:
    """Say which effect of a target costs accuracy.

    MODEL is trained on TARGET with one cause of error taken away at a time, and with each alone:
    read noise, bounds, converters, spreads and noise of the devices, their asymmetry, the
    granularity of pulses. What is done is skipped, what was interrupted goes on: give the same
    command again.
    """
    from rpucc.outputs import check_file, print_json, write_text
    from rpucc.report.experiments.ablation import as_csv
    from rpucc.runs.ablate import PAGE
    from rpucc.runs.ablate import ablate as run
    from rpucc.terminal import say

    if csv == STANDARD_OUTPUT and as_json:
        raise UsageError("--csv - and --json: both want standard output; give one of them a file")
    if csv is not None and csv != STANDARD_OUTPUT:
        check_file(Path(csv), target, model)
    if evaluate:
        wrong = [options.flag_of(ctx, name) for name in options.given(ctx, *TRAINING_ONLY)]
        if wrong:
            raise UsageError(f"{', '.join(wrong)}: nothing is trained with --evaluate")
        if model is None and options.given(ctx, "seeds"):
            raise UsageError(f"--seeds: no effect on {target}, whose devices are made already")
    elif model is None:
        raise UsageError(f"{target}: which model is to be trained on it? (or --evaluate, of a run)")
    elif how["data"] is None:
        raise UsageError("--data: needed to train, as in --data mnist-mini")
    with repeatable():
        found = run(target, model, output=output, evaluate=evaluate, **how)
    if as_json:
        print_json(found.to_dict())
    elif csv == STANDARD_OUTPUT:
        click.echo(as_csv(found), nl=False)
    else:
        _show(found)
    if csv is not None and csv != STANDARD_OUTPUT:
        write_text(Path(csv), as_csv(found))
        say(f"wrote {csv}")
    say(f"wrote {output}/{PAGE}")


def _show(found: Ablation) -> None:
    """Print the table."""
    from rpucc.report.experiments.ablation import CAPTION, cells, subtitle, title, totals
    from rpucc.report.text.tables import heading, pairs
    from rpucc.terminal import show

    lines = pairs(totals(found))
    show(heading(title(found), f": {subtitle(found)}"), "", lines, "", cells(found).rich(), "")
    show(CAPTION)
