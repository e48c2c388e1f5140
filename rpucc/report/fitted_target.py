"""A target file with the device that was fitted: standard errors beside its keys.

What is not known of a device, arrays and periphery, is as in the preset that it names. Not for
targets in general: `rpucc/target/write.py` writes those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rpucc.report.text.fit import data_text, error_text, noise_lines, parameter_value, verdict
from rpucc.target.load import parse_toml, preset_text
from rpucc.target.target import Target
from rpucc.target.write import as_toml

if TYPE_CHECKING:
    from rpucc.runtime.fitting.fit import Fit, Fits

PRESET = "rpu-managed"
"""Whose arrays, periphery and managements stand beside the device."""


def fitted_target(name: str, source: str, found: Fits, fit: Fit) -> str:
    """Return the text of a target file. name: the target's; source: the file of the curves."""
    data = parse_toml(preset_text(PRESET), PRESET)
    about = f"{fit.name} devices fitted to {source}"
    data |= {"name": name, "description": about, "device": {"model": fit.name}}
    written = as_toml(Target.model_validate(data))
    rest = re.sub(r"\[device\][^\[]*", "", written)
    lines = [
        f"# {fit.name} devices, fitted by rpucc devices fit to {source}:",
        f"# {data_text(found.curves)}.",
        f"# It {verdict(fit)}.",
        *(f"# Noise {line}." for line in noise_lines(found, fit)),
        *(f"# Note: {note}." for note in found.notes),
        f"# Everything but [device] is as in the preset {PRESET}.",
        "",
        rest.rstrip(),
        "",
        "[device]",
        f'model = "{fit.name}"',
        *_keys(fit),
    ]
    text = "\n".join(lines) + "\n"
    Target.from_toml(text, name)  # what is written can be read
    return text


def _keys(fit: Fit) -> Iterator[str]:
    """Yield the keys with their standard errors; values within what the model takes."""
    for each in fit.parameters:
        value = parameter_value(each)
        error = error_text(each)
        remarks = [f"+- {error}"] if error[0].isdigit() else []
        remarks += [each.note] if each.note else []
        yield f"{each.key} = {value}" + (f"  # {'; '.join(remarks)}" if remarks else "")
