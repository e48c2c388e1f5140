"""`rpucc report`: a training as one page of HTML."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import click

from rpucc import limits
from rpucc.cli import options


@click.command()
@click.argument("run")
@click.option(
    "-o",
    "--output",
    default=None,
    metavar="FILE.html",
    help="The page.  [default: report.html in the run folder; with --json none]",
)
@options.program
@options.which_checkpoint
@click.option(
    "--data",
    default=None,
    metavar="DATA",
    help="What is answered: the test part of a data set.  [default: of the one it was trained on]",
)
@options.data_dir
@click.option(
    "--by-layer",
    is_flag=True,
    help="Also measure which layer costs accuracy, as rpucc eval --by-layer does.",
)
@click.option(
    "--samples",
    type=click.IntRange(1, limits.SAMPLES),
    default=None,
    metavar="N",
    help="With --by-layer: the first N of the test samples.  [default: all]",
)
@options.threads
@options.portable
@options.trust
@options.as_json
def report(
    run: str,
    output: str | None,
    program_path: str | None,
    which: str | None,
    data: str | None,
    data_dir: str | None,
    by_layer: bool,
    samples: int | None,
    threads: int,
    trust: bool,
    as_json: bool,
) -> None:
    """Write a training as one self-contained page of HTML.

    RUN is a run folder of rpucc train, or a checkpoint in one. The page has the curves of the
    training, what each epoch did to each layer, the weights between the bounds of their devices,
    the answers to the test data with the most wrong ones, the configuration, the command that
    trains it again, and the plan.
    """
    from rpucc.errors import UsageError
    from rpucc.outputs import check_file, print_json, write_text
    from rpucc.report.runs.page import page
    from rpucc.runs.gather import gather
    from rpucc.runs.shown import folder_of
    from rpucc.runs.trained import trained_run
    from rpucc.terminal import say, status

    if samples is not None and not by_layer:
        raise UsageError("--samples: no effect on report without --by-layer")
    place = None if output is None else Path(output)
    if place is None and not as_json:
        place = folder_of(trained_run(run, program_path, which)) / "report.html"
    if place is not None:
        check_file(place, run, program_path)
    with status("measuring each layer…") if by_layer else nullcontext():
        found = gather(
            run,
            data=data,
            data_dir=data_dir,
            threads=threads,
            trusted=trust,
            program_path=program_path,
            which=which,
            layer_by_layer=by_layer,
            samples=samples,
        )
    for line in found.missing:
        say(line)
    if place is not None:
        write_text(place, page(found))
        say(f"wrote {place}")
    if as_json:
        print_json(found.to_dict())
