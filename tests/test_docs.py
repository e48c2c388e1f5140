"""What the documentation shows runs: docstring examples, the README's Python, the device page."""

from __future__ import annotations

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WITH_EXAMPLES = [
    "rpucc.compiler",
    "rpucc.cost.network",
    "rpucc.cost.pipeline",
    "rpucc.experiments.configuration",
    "rpucc.experiments.load",
    "rpucc.placement.grids",
    "rpucc.plan",
    "rpucc.program",
    "rpucc.report.experiment_plot",
    "rpucc.report.layout",
    "rpucc.report.markup",
    "rpucc.report.svg",
    "rpucc.report.svg_latency",
    "rpucc.report.svg_pipeline",
    "rpucc.target",
    "rpucc.passes.cuts",
    "rpucc.runtime.data.dataset",
    "rpucc.runtime.data.fit",
    "rpucc.runtime.data.load",
    "rpucc.runtime.machine",
    "rpucc.runtime.trainer",
]


def python_blocks(path: Path) -> list[str]:
    """The fenced Python of a Markdown file."""
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_docstring_examples(name):
    result = doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0


def test_readme_python(tmp_path, monkeypatch):
    from rpucc.models import write

    monkeypatch.chdir(tmp_path)
    write("lenet", tmp_path / "lenet.onnx")
    (code,) = python_blocks(ROOT / "README.md")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    (metrics,) = names["history"]
    assert metrics.test_error < 0.10


def test_device_page(tmp_path, monkeypatch):
    import rpucc

    (code,) = python_blocks(ROOT / "docs" / "devices.md")
    (tmp_path / "my_devices.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    overrides = ["device.model=my_devices:SoftBounds"]
    program = rpucc.compile("mlp", "rpu-managed", overrides=overrides, verify=False)
    machine = rpucc.Machine(program, seed=0)
    data = rpucc.load_dataset("mnist-mini")
    from dataclasses import replace

    few = replace(data, x_train=data.x_train[:500], y_train=data.y_train[:500])
    (metrics,) = rpucc.Trainer(machine).fit(few, epochs=1)
    assert metrics.pulses_per_weight > 0
    assert abs(machine.grids["fc1.W"].W).max() <= 0.62


def test_links_of_the_readme_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if not link.startswith("http"):
            assert (ROOT / link).exists(), link
