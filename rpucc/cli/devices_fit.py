"""`rpucc devices fit`: a target's device from measured response curves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rpucc.cli import options

if TYPE_CHECKING:
    from rpucc.runtime.fitting.fit import Fit, Fits


@click.command()
@click.argument("curves")
@click.option(
    "-o", "--output", default=None, metavar="FILE.toml",
    help="Write a target with the best model's device, standard errors beside the keys.",
)  # fmt: skip
@click.option(
    "--plot", default=None, metavar="FILE.svg", help="Draw the data against the best model."
)
@click.option(
    "--model", "models", multiple=True, metavar="NAME",
    help="Fit this model only, -step may be left out; may be repeated.  [default: all but table]",
)  # fmt: skip
@click.option(
    "--unit", default="", metavar="UNIT",
    help="Of a column conductance whose header names none: S, mS, uS, nS or pS.",
)  # fmt: skip
@click.option(
    "--g-ref", type=float, default=None, callback=options.finite, metavar="G",
    help="Conductance of weight 0, in the unit of the column.  [default: the middle of the range]",
)  # fmt: skip
@click.option(
    "--g-unit", type=click.FloatRange(min=0, min_open=True), default=None,
    callback=options.finite, metavar="G",
    help="Conductance of a weight of 1.  [default: what makes the end of the range 0.6]",
)  # fmt: skip
@click.option(
    "--read-error", type=click.FloatRange(min=0), default=None, callback=options.finite,
    metavar="S",
    help="Standard deviation of a read by itself, in the unit of the column: what else is gone "
    "with the next pulse is write noise.  [default: by repeated reads, else all is of the read]",
)  # fmt: skip
@options.portable
@options.as_json
def fit(
    curves: str,
    output: str | None,
    plot: str | None,
    models: tuple[str, ...],
    unit: str,
    g_ref: float | None,
    g_unit: float | None,
    read_error: float | None,
    as_json: bool,
) -> None:
    """Fit device models to measured response curves, and write the target of the best one.

    CURVES is a CSV file with the columns device, pulse, direction (up or down; read where no pulse
    was given) and weight or conductance_uS (S, mS, uS, nS, pS). A row is what was read after pulse
    number `pulse` of the device. Empty cells and NaN are reads that failed, missing numbers are
    pulses without a read. Models are ranked by the Bayesian information criterion, and each is
    tested for errors that depend on the weight.
    """
    from rpucc.errors import UsageError, one_line
    from rpucc.outputs import check_file, print_json, write_text
    from rpucc.runtime.fitting.catalogue import FIT_MODELS
    from rpucc.runtime.fitting.fit import fit_curves
    from rpucc.runtime.fitting.read import UNITS, read_curves
    from rpucc.terminal import say, show, status

    models = tuple(name if name in FIT_MODELS else f"{name}-step" for name in models)
    for name in models:
        if name not in FIT_MODELS:
            known, name = ", ".join(FIT_MODELS), name.removesuffix("-step")
            raise UsageError(f"--model {one_line(name)[:40]!r}: models that can be fitted: {known}")
    unit = unit.replace("µ", "u").replace("μ", "u")
    if unit and unit not in UNITS:
        raise UsageError(f"--unit {one_line(unit)[:40]!r}: allowed: {', '.join(UNITS)}")
    for place in (output, plot):
        if place is not None:
            check_file(Path(place), curves)
    data = read_curves(Path(curves), unit, g_ref, g_unit)
    with status("fitting…"):
        found = fit_curves(data, models, None if read_error is None else read_error / data.scale)
    best = found.best
    for note in found.notes:
        say(note)
    if output is not None:
        from rpucc.report.fitted_target import fitted_target

        text = fitted_target(Path(output).stem, Path(curves).name, found, best)
        write_text(Path(output), text)
    if plot is not None:
        write_text(Path(plot), _drawing(Path(curves).name, found, best))
    if as_json:
        print_json(_as_data(found))
    else:
        from rpucc.report.text.fit import fits_text

        show(fits_text(Path(curves).name, found))
    for place in (output, plot):
        if place is not None:
            say(f"wrote {place}")


def _drawing(name: str, found: Fits, best: Fit) -> str:
    from rpucc.report.drawings.fit import LEGEND, fit_drawing
    from rpucc.runtime.devices import make_device
    from rpucc.runtime.fitting.simulated import measured, simulated

    section = best.device
    device = make_device(section.pop("model"), section)
    sample = simulated(device, found.curves, best.read_noise)
    title = f"{best.name} fitted to {name}"
    return fit_drawing(title, measured(found.curves), sample, best.test.bins).file(LEGEND)


def _as_data(found: Fits) -> dict[str, Any]:
    curves = found.curves
    return {
        "devices": len(curves.devices),
        "reads": curves.moves,
        "missing": curves.missing,
        "gaps": curves.left_out,
        "unit": curves.unit or None,
        "g_ref": curves.reference if curves.unit else None,
        "g_unit": curves.scale if curves.unit else None,
        "reread_noise": found.reread,
        "models": [_fit_data(found, each) for each in found.fits],
        "notes": list(found.notes),
    }


def _fit_data(found: Fits, fit: Fit) -> dict[str, Any]:
    test = fit.test
    return {
        "model": fit.name,
        "bic": fit.bic,
        "delta": found.delta(fit),
        "log_likelihood": -fit.estimate.loss,
        "fitted": fit.estimate.free,
        "read_noise": fit.read_noise,
        "parameters": {
            each.key: {"value": each.value, "error": each.errors or each.error, "note": each.note}
            for each in fit.parameters
        },
        "test": {
            "chi2": test.chi2,
            "degrees_of_freedom": test.freedom,
            "p": test.p,
            "describes": test.passed,
            "bins": [vars(each) for each in test.bins],
        },
    }
