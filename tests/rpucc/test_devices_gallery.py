"""`rpucc devices gallery`: every model and preset on one page that needs nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from rpucc.report.html.gallery import Entry, page
from rpucc.runtime.devices import DEVICES, make_device
from rpucc.runtime.portrait import portrait
from rpucc.target.load import preset_names

from .browser import find_browser


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from rpucc.cli.main import cli

    file = tmp_path_factory.mktemp("gallery") / "gallery.html"
    done = CliRunner().invoke(cli, ["devices", "gallery", "-o", str(file)])
    assert done.exit_code == 0, done.output
    return file


def test_everything_is_there(gallery: Path) -> None:
    text = gallery.read_text()
    for name in DEVICES:
        assert f'id="model-{name}"' in text
    for name in preset_names():
        assert f'id="preset-{name}' in text
    assert not re.search(r"nan\b", text)
    assert "http://" not in text.replace("http://www.w3.org", "")


def test_it_opens_in_a_browser(gallery: Path, tmp_path: Path) -> None:
    browser = find_browser(tmp_path / "profile")
    assert not browser.visit(gallery).console
    wide, has = browser.width_in(gallery, 380)
    assert wide <= has


def test_figures_are_those_of_the_devices() -> None:
    """Soft bounds of ±0.5 with 5 % asymmetry cancel at 0.025; 100 steps of 0.01 in between."""
    still = {"w_max_dtod": 0, "w_min_dtod": 0, "up_down_dtod": 0, "w_max": 0.5, "w_min": -0.5}
    device = make_device("soft-bounds", {**still, "dw_min": 0.01, "up_down": 0.05})
    found = portrait(device)
    assert found.states == pytest.approx(100)
    assert found.symmetry == pytest.approx((0.025, 0.0), abs=1e-5)
    assert (found.upper, found.without) == (pytest.approx((0.5, 0.0), abs=1e-6), 0.0)
    text = page([Entry("mine", "of mine", found, preset=False)])
    row = re.search(r"<tr><th scope=\"row\"><a href=\"#model-mine\">.*?</tr>", text)
    assert row is not None
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row[0])
    assert cells[:3] == ["model", "0.01", "100"]
    assert cells[-1] == "0.025 ± 0.000"
