"""docs/results/aihwkit-agreement.md: the comparisons as tables, and what the sides define apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from benchmarks.agreement.algorithm_cases import ALGORITHM_CASES
from benchmarks.agreement.cases import CASES, Response
from benchmarks.agreement.compare import FALSE_ALARM, Comparison, bound
from benchmarks.agreement.device_cases import DEVICE_CASES
from benchmarks.agreement.pair_cases import PAIR_CASES

_HEAD = """\
# Agreement with aihwkit

Written by `python -m benchmarks.agreement --peer-python PATH`
({versions}); the same comparison is the slow test
`tests/runtime/test_aihwkit_agreement.py`. aihwkit draws its own random numbers, so not runs but
distributions are compared: the same weights, inputs and settings on both sides, many samples, and
every mean and variance of one side against the other's.

A deviation is a difference over its standard error, which follows from the sample size (for a
variance from the fourth moment). {compared:,} numbers are compared; if all distributions are the
same, one of them lies beyond **{bound:.2f}** standard errors with a probability of {alarm:g}.
**{verdict}**
"""

_SECTIONS = {
    "read": (
        "Reads",
        "A matrix of 12 × 30 weights; the outputs of one input, forward or backward. σ 0.06 where "
        "there is noise.",
    ),
    "update": (
        "Updates",
        "The same matrix of constant-step devices, all alike (Δw_min 0.001, pulse noise 30 %), "
        "from weights of 0: the change of every weight by one pair x, d at lr 0.01, and the sums "
        "of its rows and columns, whose variance shows the pulses that a line's devices share.",
    ),
    "response": (
        "Response curves",
        "32 tiles of 1,600 devices, pulsed up and then down again: mean and deviation over "
        "the devices of a tile along the way, whose means over the tiles are compared. The first "
        "four have rpucc's own defaults, all others aihwkit's way to draw steps and bounds "
        '(`asymmetry = "one-sided"`, `consistency = "mirror"`) and, where they have its '
        "names, the parameters of its presets; write noise is left out.",
    ),
    "algorithm": (
        "Training algorithms",
        "30 tiles of 20 × 20 weights that learn a target each, d = (W - target) x, on soft-bounds "
        "devices of 20 states with additive noise: error (standard deviation of W - target), mean "
        "|A| and the spread of the digital memory H after each number of inputs, of 6,000, with a "
        "transfer every 5. Reads are exact. Offset: the spread of the fast array's distance from "
        "its symmetry points. The means over the tiles are compared.",
    ),
    "pair": (
        "One-sided pairs",
        "30 tiles of 20 × 20 pairs of devices that are only pulsed up and learn a target as above, "
        "without weights at first: error, and mean and spread of either side's devices after each "
        "number of inputs. PCM has the devices of aihwkit's preset. Reads are exact, those of "
        "refreshes, too, and refreshes are written in an open loop, as always there.",
    ),
}

_DEFINITIONS = (
    (
        "a mean asymmetry `up_down` = β",
        "up steps times 1 + β, down steps times 1 − β",
        "only the weaker direction is changed: for β > 0 up 1, down 1 − β",
    ),
    (
        "a device's asymmetry and the spread of its step",
        "factors: (1 + dtod ζ)(1 ± β)",
        "terms: 1 + dtod ζ ± β, so that small steps are the less symmetric. With spreads of 0.3 "
        "and 0.1 the standard deviation after 1,000 pulses up and down is 0.243 and not 0.236 (a "
        "simulation of both formulas); the cases have one of the spreads small",
    ),
    (
        "steps or bounds that a spread pushes through 0",
        "kept above 1 % of their mean",
        "the absolute value (one device in 2,300 at 30 %)",
    ),
    (
        "when a read saturates",
        "before the ADC, from α on",
        "after the ADC's rounding, beyond α: not within half a step of the ADC",
    ),
    (
        "half a step of the DAC",
        "rounded up",
        "rounded to even, in float32: at 7 bits 1/2 is 31.499998 steps and becomes 31. After NM "
        "and one halving the largest input is such a half, so outputs differ by up to w/63; the "
        "case with DAC, NM and BM takes two halvings",
    ),
    ("no DAC", "the input is neither rounded nor clipped", "clipped to ±1 (`inp_bound`)"),
    (
        "BM gives up",
        "after `max_halvings`",
        "beyond a factor of 1,000, or of a quarter of the DAC's levels",
    ),
    ("BM in the backward cycle", "as in the forward cycle", "ignored"),
    (
        "BM in two passes",
        "divides by Σ abs(x) · w / α, and by 2 at least; w is a key of the target",
        "divides by the larger of the sums of positive and of negative inputs, times w / α, with w "
        "= 0.6: the same for inputs of one sign, else less, and the second read can saturate. "
        "Without NM the second read repeats the first, and halving follows",
    ),
    (
        "UM where lr · x_max · d_max > BL · Δw_min",
        "both sides fire with probability 1 at their maxima; "
        '`update.overflow = "errors"`: as there',
        "the error's side alone is clipped",
    ),
    (
        "the spread of a linear step's slopes",
        "a fraction of the slope",
        "in units of the slope: its 0.05 on 0.1153 is 0.43 here",
    ),
    (
        "granularity of exponential steps",
        "the mean of up and down step at 0",
        "the down step there, so that ReRamES learns at 0.87 of the rate that is meant",
    ),
    (
        "AGAD before every column went through a period",
        "digital memory is held at 0",
        "it grows, and the pulses of it are lost: the case looks at it later",
    ),
    (
        "mixed precision's writes",
        "exact numbers of pulses, at once",
        "the largest of a row exact, the others by chance, one vector later; cut at BL, which the "
        "sum was charged for in full",
    ),
    (
        "the pulses that carry a column over in Tiki-Taka",
        "by chance in `transfer_bl` slots, the column in all of them",
        "with UM and UBLM by default, in fewer slots; the case has it without",
    ),
    (
        "what a refresh of one-sided pairs writes",
        "verified; the cases have `refresh_writes` = `open-loop`",
        "one pulsed update of a column: on PCM, where the first steps are nine times those half "
        "way up, 0.1, 0.25, 0.5 become 0.55, 0.86, 1.14",
    ),
    (
        "what a pulse to a one-sided pair is counted as",
        "an up step half way to the top",
        "dw_min, of exponential steps the down step at 0: the same number of PCM, twice ours of "
        "soft bounds",
    ),
    (
        "pulses that one constant-step device gets in one update",
        "counted, and added with one normal of their summed variance",
        "one by one: the same distribution",
    ),
)
"""What, rpucc, aihwkit."""


def all_within(comparisons: Sequence[Comparison]) -> bool:
    """Whether every deviation is within the bound."""
    return all(max(c.means, c.variances) <= bound(comparisons) for c in comparisons)


def text(
    comparisons: Sequence[Comparison], left_out: Mapping[str, str], versions: Mapping[str, str]
) -> str:
    """The whole page."""
    parts = [_head(comparisons, versions)]
    for what, (title, intro) in _SECTIONS.items():
        chosen = [each for each in comparisons if each.what == what]
        if chosen:
            parts.append("\n".join([f"## {title}", intro, "", *_table(chosen)]) + "\n")
    parts += [curve for curve in map(_curve, comparisons) if curve]
    parts += [numbers for numbers in map(_numbers, comparisons) if numbers]
    parts += [numbers for numbers in map(_pairs, comparisons) if numbers]
    if left_out:
        lines = [f"- {name}: {why}" for name, why in left_out.items()]
        parts.append("\n".join(["## Left out", *lines]) + "\n")
    return "\n".join([*parts, *_definitions()])


def _definitions() -> Iterator[str]:
    yield "## Where the definitions differ"
    yield "The two sides mean different things here; the cases above are chosen around them.\n"
    yield "| what | rpucc | aihwkit |\n|---|---|---|"
    for row in _DEFINITIONS:
        yield f"| {' | '.join(row)} |"
    yield ""


def _head(comparisons: Sequence[Comparison], versions: Mapping[str, str]) -> str:
    limit = bound(comparisons)
    beyond = [c.name for c in comparisons if max(c.means, c.variances) > limit]
    verdict = "None does." if not beyond else f"Beyond it: {', '.join(beyond)}."
    return _HEAD.format(
        versions=", ".join(f"{name} {version}" for name, version in versions.items()),
        compared=sum(each.compared for each in comparisons),
        bound=limit,
        alarm=FALSE_ALARM,
        verdict=verdict,
    )


def _table(comparisons: Iterable[Comparison]) -> Iterator[str]:
    yield (
        "| case | samples | numbers | largest deviation of a mean | of a variance | "
        "largest difference of means, in σ of a sample | σ, rpucc / aihwkit, median |"
    )
    yield "|---|---|---|---|---|---|---|"
    for c in comparisons:
        yield (
            f"| {c.name} | {c.samples:,} | {c.compared} | {c.means:.2f} | {c.variances:.2f} | "
            f"{c.difference:.4f} | {c.ratio:.4f} |"
        )


def _curve(comparison: Comparison) -> str:
    """The mean and standard deviation over devices on both sides, of a response."""
    case = next((case for case in (*CASES, *DEVICE_CASES) if case.name == comparison.name), None)
    if not isinstance(case, Response):
        return ""
    lines = [
        f"### {case.name}",
        "| pulses | mean, rpucc | aihwkit | standard deviation, rpucc | aihwkit |",
        "|---|---|---|---|---|",
    ]
    sides = (comparison.ours, comparison.theirs)
    means, deviations = (
        [side["mean"][part] for side in sides]
        for part in (slice(0, len(case.points)), slice(len(case.points), None))
    )
    for i, point in enumerate(case.points):
        n = case.pulses
        pulses = f"{point} up" if point <= n else f"{n} up, {point - n} down"
        spreads = [each[i] for each in deviations]
        lines.append(
            f"| {pulses} | {means[0][i]:.5f} | {means[1][i]:.5f} | {spreads[0]:.5f} | "
            f"{spreads[1]:.5f} |"
        )
    return "\n".join(lines) + "\n"


def _numbers(comparison: Comparison) -> str:
    """What the tiles of an algorithm came to on both sides: mean ± deviation over them."""
    case = next((case for case in ALGORITHM_CASES if case.name == comparison.name), None)
    if case is None:
        return ""
    lines = [
        f"### {case.name}",
        "| inputs | error, rpucc | aihwkit | abs(A), rpucc | aihwkit | H, rpucc | aihwkit |",
        "|---|---|---|---|---|---|---|",
    ]
    for i, point in enumerate(case.points):
        cells = [
            f"{side['mean'][k]:.4f} ± {side['variance'][k] ** 0.5:.4f}"
            for k in range(3 * i, 3 * i + 3)
            for side in (comparison.ours, comparison.theirs)
        ]
        lines.append(f"| {point:,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _pairs(comparison: Comparison) -> str:
    """What the tiles of pairs came to on both sides: mean ± deviation over them."""
    case = next((case for case in PAIR_CASES if case.name == comparison.name), None)
    if case is None:
        return ""
    named = ("error", "mean g+", "spread of g+", "mean g-", "spread of g-")
    width = len(named)
    lines = [
        f"### {case.name}",
        "| inputs | " + " | ".join(f"{name}, rpucc | aihwkit" for name in named) + " |",
        "|---" * (1 + 2 * width) + "|",
    ]
    for i, point in enumerate(case.points):
        cells = [
            f"{side['mean'][k]:.4f} ± {side['variance'][k] ** 0.5:.4f}"
            for k in range(width * i, width * (i + 1))
            for side in (comparison.ours, comparison.theirs)
        ]
        lines.append(f"| {point:,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
