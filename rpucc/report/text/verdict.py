"""What a training came to, in words: one line, and a line for each figure that explains it.

Pure functions of a verdict. Not for the figures: that is `rpucc.runtime.verdict`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rpucc.report import units

if TYPE_CHECKING:
    from rpucc.runtime.cause import Cause
    from rpucc.runtime.verdict import Verdict

WIDTH = 100
TIED = "\u00a0"
"""Between an option and its value, which stay on a line."""
UNKNOWN = "no figure says why: -t ideal shows what the network can do with these data and epochs"
EVERY = 0.5
"""Updates that are full; where fewer are, it is one side of them that is cut."""
MOST_CAUSES = 3
MOST_LAYERS = 3


def as_lines(verdict: Verdict) -> list[str]:
    """Return what to say after training, at most WIDTH a line; nothing where it went well."""
    if verdict.learned == "well":
        return []
    nothing = verdict.learned == "nothing"
    measured = _measured(verdict)
    what = f"verdict: {'nothing' if nothing else 'little'} was learned: {measured}"
    causes = [f"  {_cause(cause)}" for cause in verdict.causes[:MOST_CAUSES]]
    if nothing and not causes:
        causes = [f"  {UNKNOWN}"]
    return [part for line in (what, *causes) for part in _wrapped(line)]


def hint(verdict: Verdict) -> str:
    """Return a hint for after the first epoch; "" unless figures say why nothing was learned."""
    causes = [cause for cause in verdict.causes if cause.kind != "slow"]  # it has just begun
    if verdict.learned != "nothing" or not causes:
        return ""
    text = f"nothing learned so far: {_measured(verdict)}; {_cause(causes[0])}"
    return "\n".join(_wrapped(text))


def foreseen(causes: Sequence[Cause]) -> str:
    """Return what to say of causes that are there before a training begins; "" for none."""
    lines = [part for cause in causes for part in _wrapped(f"updates: {_cause(cause)}")]
    return "\n".join(lines)


def _wrapped(line: str) -> list[str]:
    lines = textwrap.wrap(
        line, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    return [each.replace(TIED, " ") for each in lines]


def _measured(verdict: Verdict) -> str:
    if verdict.measure == "loss":
        found, chance = units.number(verdict.found), units.number(verdict.chance)
        return f"test loss {found}, always giving the targets' mean {chance}"
    found, chance = units.percent(verdict.found), units.percent(verdict.chance)
    return f"test error {found}, always giving the most frequent class {chance}"


def _cause(cause: Cause) -> str:
    """Return a figure and what would help."""
    found, help_ = _WORDS[cause.kind](cause)
    where = f"{_layers(cause.layers)}: " if cause.layers else ""
    return f"{where}{found}; {help_}"


def _layers(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - MOST_LAYERS} more" if len(names) > MOST_LAYERS else ""
    return ", ".join(names[:MOST_LAYERS]) + more


def _set(cause: Cause) -> str:
    return " ".join(f"--set{TIED}{option}" for option in cause.options)


def _still(cause: Cause) -> tuple[str, str]:
    part = units.significant_percent(cause.figure)
    return (
        f"updates moved the weights by {part} of their size at most",
        f"try a larger rate: --lr{TIED}{_rate(cause)}",
    )


def _diverged(cause: Cause) -> tuple[str, str]:
    loss, guess = units.number(cause.figure), units.number(cause.against)
    return f"the loss {loss} is above the {guess} of guessing", f"try --lr{TIED}{_rate(cause)}"


def _gain(cause: Cause) -> tuple[str, str]:
    found = f"the rate is {cause.figure:.3g} times BL · dw_min = {cause.against:.3g}"
    if cause.advice is None:
        return f"{found}, so that one side of each update fires at every slot", f"try {_set(cause)}"
    return f"{found}, more than a train of pulses can do", f"try --lr{TIED}{_rate(cause)}"


def _noise(cause: Cause) -> tuple[str, str]:
    found = f"errors of about {cause.against:.2g} are read back with noise {cause.figure:.2g}"
    return found, f"try {_set(cause)}"


def _saturated(cause: Cause) -> tuple[str, str]:
    part = units.significant_percent(cause.figure)
    return f"{part} of all reads saturate and are not read again", f"try {_set(cause)}"


def _symmetry(cause: Cause) -> tuple[str, str]:
    found = f"symmetry points lie {cause.figure:.2g} from zero, weights {cause.against:.2g}"
    if cause.options:
        return found, f"try {_set(cause)}"
    return found, "pulses pull weights there: devices with symmetry points nearer to zero"


def _asymmetry(cause: Cause) -> tuple[str, str]:
    part = units.significant_percent(cause.figure)
    found = f"an up and a down pulse differ by {part} and cancel at no weight"
    return found, "more even steps, or devices with symmetry points (docs/devices.md)"


def _states(cause: Cause) -> tuple[str, str]:
    found = f"only {cause.figure:.0f} steps of dw_min = {cause.advice:g} from bound to bound"
    return found, f"try a smaller dw_min, or --set{TIED}mapping.devices_per_weight=4"


def _clipped(cause: Cause) -> tuple[str, str]:
    part = units.significant_percent(cause.figure)
    found = f"{part} of the weights were cut to their devices' bounds"
    return found, f"try {_set(cause)}" if cause.options else "wider bounds would keep them"


def _bounds(cause: Cause) -> tuple[str, str]:
    part = units.significant_percent(cause.figure)
    return f"{part} of the weights lie at their bounds", "wider bounds would help (device.w_max)"


def _slow(cause: Cause) -> tuple[str, str]:
    loss, guess = units.number(cause.figure), units.number(cause.against)
    rate = "" if cause.advice is None else f", or --lr{TIED}{_rate(cause)}"
    return f"the loss {loss} is still near the {guess} of guessing", f"try more epochs{rate}"


def _fine(cause: Cause) -> tuple[str, str]:
    """Return how much of the change is lost to probabilities that stop at 1."""
    made = f"pulses make {units.significant_percent(cause.figure)} of the change that is asked for"
    if cause.full >= EVERY:
        made = f"in {100 * cause.full:.0f} % of the updates every slot fires, and {made}"
    found = f"{made}: BL {cause.against:.0f} cannot make steps of this size"
    if cause.advice is not None:
        return found, f"try --lr{TIED}{_rate(cause)}"
    larger = "" if cause.step is None else f"devices with dw_min of about {cause.step:.1g}"
    options = f"try {_set(cause)}" if cause.options else ""
    return found, ", or ".join(each for each in (options, larger) if each)


def _coarse(cause: Cause) -> tuple[str, str]:
    found = (
        f"one pulse of dw_min = {cause.step:g} is {cause.figure:.2g} times as large as weights "
        f"are, and updates ask for {cause.against:.1g} pulses at most"
    )
    return found, f"try a smaller dw_min, or --set{TIED}mapping.devices_per_weight=4"


def _rate(cause: Cause) -> str:
    return f"{cause.advice:.1g}"


_WORDS: dict[str, Callable[[Cause], tuple[str, str]]] = {
    "still": _still,
    "diverged": _diverged,
    "gain": _gain,
    "noise": _noise,
    "saturated": _saturated,
    "symmetry": _symmetry,
    "asymmetry": _asymmetry,
    "states": _states,
    "clipped": _clipped,
    "bounds": _bounds,
    "slow": _slow,
    "fine": _fine,
    "coarse": _coarse,
}
"""Kind of cause -> what was found and what would help."""
