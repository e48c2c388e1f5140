"""Put the page of a run together: how it went on top, then each part of it, then the plan.

Not for the page of several runs: that is compare.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from rpucc.report import units
from rpucc.report.html import sections
from rpucc.report.html.document import bar, document
from rpucc.report.html.parts import plain_fact, section
from rpucc.report.markup import Markup, tag
from rpucc.report.runs import answers, by_layer, configuration, curves, layers
from rpucc.report.runs.run_report import History, RunReport

STYLES = ("page.css", "runs.css")


def page(report: RunReport) -> str:
    """Return the whole document as text."""
    parts = list(_sections(report))
    contents = [(anchor, title) for anchor, title, _ in parts]
    return document(
        f"{report.history.name}: {report.program.name} on {report.program.target.name}",
        _header(report),
        bar(contents),
        tag("main", *(markup for _, _, markup in parts)),
        styles=STYLES,
    )


def _sections(report: RunReport) -> Iterator[tuple[str, str, Markup]]:
    """Yield anchor, title and content of each section that has something to show."""
    if report.history.metrics:
        text = (
            "Errors are parts of the labels; those of the training part are taken while it learns."
        )
        yield (
            "training",
            "Training",
            section("training", "Training", text, curves.of_one_run(report.history)),
        )
    found = (
        ("layers-over-time", "Layers over time", layers.over_time(report)),
        ("weights", "Weights", layers.weights(report)),
        ("asymmetry", "Update asymmetry", layers.devices(report)),
        ("answers", "Answers", answers.answers(report.answers) if report.answers else None),
        ("by-layer", "Layer by layer", _by_layer(report)),
    )
    yield from ((anchor, title, part) for anchor, title, part in found if part is not None)
    scene = report.scene
    yield "configuration", "Configuration", configuration.configuration(report)
    yield "network", "Network", sections.network(scene)
    yield "layers", "Layers", sections.layers(scene)
    yield "policies", "Policies", sections.policies(scene)
    yield "terms", "Terms", sections.terms()


def _by_layer(report: RunReport) -> Markup | None:
    if report.by_layer is None or report.answers is None:
        return None
    return by_layer.by_layer(report.by_layer, report.answers.data, report.answers.samples)


def _header(report: RunReport) -> Markup:
    """Return title, facts, the verdict where there is one, and what is missing."""
    program, history = report.program, report.history
    lead = f"{program.name} on {program.target.name}, {report.trained}; seed {report.seed}."
    said = [tag("li", line) for line in report.verdict]
    missing = [tag("li", line) for line in report.missing]
    return tag(
        "header",
        tag("h1", history.name, tag("span", f" {program.name} on {program.target.name}")),
        tag("p", lead, class_="lead"),
        tag("dl", *(plain_fact(*words) for words in _facts(report)), class_="facts"),
        tag("ul", *said, class_="notes") if said else None,
        tag("ul", *missing, class_="notes missing") if missing else None,
    )


def _facts(report: RunReport) -> Iterator[tuple[str, str, str]]:
    history = report.history
    yield from judged(history)
    last = history.last
    if last is not None:
        if last.train_error is not None:
            yield "training error", units.percent(last.train_error), f"epoch {last.epoch}"
        yield "test loss", units.number(last.test_loss), f"training {units.number(last.train_loss)}"
        pulses = sum(each.pulses_per_weight for each in history.metrics)
        yield "pulses a weight", units.large(pulses), "in all epochs"
        part = units.percent(last.saturated_reads / max(last.reads, 1))
        again = units.percent(last.rereads / max(last.reads, 1))
        yield "saturated reads", part, f"re-reads {again}, epoch {last.epoch}"
    weights = sum(each.weights for each in report.layers)
    yield "weights on arrays", units.large(weights), units.counted(len(report.layers), "layer")
    yield from (("epochs", units.count(last.epoch), _rate(last.lr)) for last in [last] if last)


def _rate(lr: float | None) -> str:
    return "" if lr is None else f"the last at rate {lr:g}"


def judged(history: History) -> Iterator[tuple[str, str, str]]:
    """Yield the last and the best of what a network is judged by."""
    last, best = history.last, history.best
    if last is None or best is None:
        return
    shown = units.percent if history.measured else units.number
    what = "test error" if history.measured else "test loss"
    yield what, shown(history.score(last)), f"after epoch {last.epoch}"
    if best is not last:
        yield f"least {what}", shown(history.score(best)), f"after epoch {best.epoch}"
