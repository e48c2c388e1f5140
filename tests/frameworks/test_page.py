"""The section "From PyTorch and Keras" of docs/python.md runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("onnxscript", reason="onnxscript, which torch's exporter needs, is absent")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "python.md"


def test_the_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text(encoding="utf-8")
    (section,) = re.findall(r"## From PyTorch and Keras\n(.*?)(?=\n## )", page, re.DOTALL)
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, "docs/python.md", "exec"), names)
    learned, ideal = capsys.readouterr().out.split()
    assert learned == "tensor(True)"
    assert float(ideal) == pytest.approx(float(names["wrong"].float().mean()), abs=1e-6)
    assert (tmp_path / "trained.pth").is_file()
