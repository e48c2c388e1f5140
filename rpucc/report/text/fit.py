"""`rpucc devices fit`: which model describes the curves, its parameters, what contradicts it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table

from rpucc.report import units
from rpucc.report.text.tables import heading, new_table, pairs

if TYPE_CHECKING:
    from rpucc.runtime.fitting.curves import Curves
    from rpucc.runtime.fitting.fit import Fit, Fits
    from rpucc.runtime.fitting.models import Parameter


def fits_text(name: str, found: Fits) -> RenderableType:
    """Return all of it: the data, the ranking, the best model's parameters, its noise."""
    best = found.best
    return Group(
        heading(f"{name}: ", data_text(found.curves)),
        "",
        _ranking(found),
        "",
        *(f"{fit.name}: {verdict(fit)}" for fit in found.fits),
        "",
        heading(best.name),
        _parameters(best.parameters),
        "",
        pairs([("noise", line) for line in noise_lines(found, best)]),
    )


def data_text(curves: Curves) -> str:
    """Say what was read, in a line."""
    pulses = sum(each.pulses for each in curves.devices)
    reads = sum(int(each.seen.sum()) for each in curves.devices)
    text = f"{units.counted(len(curves.devices), 'device')}, {units.counted(pulses, 'pulse')}"
    text += f", {units.counted(reads, 'read')}"
    if curves.missing:
        text += f", {units.count(curves.missing)} without a number"
    if curves.unit:
        unit = curves.unit.replace("uS", "µS")
        text += f"; w = (g - {curves.reference:.4g} {unit}) / {curves.scale:.4g} {unit}"
    return text


def verdict(fit: Fit) -> str:
    """Say whether a model describes the data, and where it does not."""
    test = fit.test
    chance = f"chi² {test.chi2:.1f} of {test.freedom}, p {_chance(test.p)}"
    if test.passed:
        return f"describes the data: no error depends on the weight ({chance})"
    worst = test.worst
    way = "up" if worst.direction > 0 else "down"
    return (
        f"does not describe the data: steps {way} at weights {worst.low:.3g} to {worst.high:.3g} "
        f"are {worst.measured:.3g}, the model's {worst.expected:.3g} ({chance})"
    )


def noise_lines(found: Fits, fit: Fit) -> Iterator[str]:
    """Say what is left beside the mean steps: noise that stays, and noise that does not."""
    read, step = fit.read_noise, fit.device["dw_min"]
    if found.reread is None:
        yield (
            f"of a read, gone with the next one: {read:.3g} ({read / step:.3g} steps), no part of "
            "the device"
        )
    else:
        yield f"of a read by itself: {found.reread:.3g} ({found.reread / step:.3g} steps)"
        write = fit.device["write_noise_std"]
        yield f"of a write, gone with the next pulse: {write * step:.3g} ({write:.3g} steps)"
    lasting, pulses = fit.lasting
    if lasting:
        yield (
            f"of reads that lasts, 1/e of it {pulses:.2g} pulses: {lasting:.3g} "
            f"({lasting / step:.3g} steps), no part of the device"
        )


def _ranking(found: Fits) -> Table:
    table = new_table(
        "model", "delta BIC", "log likelihood", "numbers fitted", "p of the state", "describes it",
        numeric=(1, 2, 3, 4),
    )  # fmt: skip
    for fit in found.fits:
        table.add_row(
            fit.name,
            f"{found.delta(fit):.1f}",
            f"{-fit.estimate.loss:,.1f}",
            units.count(fit.estimate.free),
            _chance(fit.test.p),
            "yes" if fit.test.passed else "no",
        )
    return table


def _parameters(parameters: list[Parameter]) -> Table:
    table = new_table("parameter", "value", "standard error", "", numeric=(1, 2), folds=(3,))
    for each in parameters:
        table.add_row(each.key, parameter_value(each), error_text(each), each.note)
    return table


def parameter_value(each: Parameter) -> str:
    """Return a value of as many digits as its error leaves a meaning, at least three."""
    if isinstance(each.value, tuple):
        return f"[{', '.join(f'{value:.4g}' for value in each.value)}]"
    digits = 4
    if each.error > 0 and each.value:
        digits = min(max(3, 2 + math.ceil(math.log10(abs(each.value) / each.error))), 8)
    return f"{each.value:.{digits}g}"


def error_text(each: Parameter) -> str:
    """Return the standard error, a dash where there is none."""
    return f"{each.error:.2g}" if math.isfinite(each.error) else units.NONE


def _chance(p: float) -> str:
    return f"{p:.2g}" if p >= 1e-16 else "< 1e-16"
