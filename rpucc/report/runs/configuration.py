"""The section that says how a training was made: the command, the settings, the target.

Not for differences between runs: that is compare.py.
"""

from __future__ import annotations

from rpucc.report.html.parts import scrolling, section, table
from rpucc.report.markup import Markup, tag
from rpucc.report.runs.run_report import RunReport, Settings


def configuration(report: RunReport) -> Markup:
    """Return the section."""
    return section(
        "configuration",
        "Configuration",
        "What was trained and how. The command trains it again; with the same versions, on the "
        "same kind of processor or with --portable, to the same bits.",
        command(report.command),
        scrolling(settings_table(report.settings), "Settings"),
        tag(
            "details",
            tag("summary", "The target as TOML (what it leaves out is at its default)"),
            tag("pre", report.target, class_="wrapped"),
        ),
    )


def command(text: str) -> Markup:
    """Return a command to copy."""
    return tag("pre", text, class_="wrapped")


def settings_table(settings: Settings) -> Markup:
    """Return a row a setting."""
    rows = [
        tag("tr", tag("th", key, scope="row"), tag("td", value, class_="text"))
        for key, value in settings
    ]
    return table([tag("th", "key", scope="col"), tag("th", "value", scope="col")], rows)
