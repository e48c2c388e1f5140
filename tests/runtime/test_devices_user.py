"""A device model from a user's own module: compiled, used, cached on disk, compiled anew if edited.

The subprocesses are fresh interpreters, as a user's next run is; they count with Numba's own
statistics whether the update kernel was compiled (a miss) or loaded (a hit).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rpucc.errors import TargetError
from rpucc.runtime.devices import make_device

from .tilings import Pulsing, Tiling, make_plane, plain_pulse, pulse

SOFT_BOUNDS = '''
import numpy as np
from rpucc.runtime.devices import Device

RATE = 1.0

class SoftBounds(Device):
    """Steps that shrink towards the bounds (physics.md section 4, gamma = 1)."""

    name = "soft-bounds"
    summary = "soft bounds"
    defaults = {"dw_min": 0.01, "spread": 0.2, "limit": 0.8, "noise": 0.1}
    ranges = {"dw_min": (1e-6, 1.0), "limit": (0.1, 10.0)}
    per_device = ("alpha_up", "alpha_down")
    constants = ("limit", "noise")

    def fabricate(self, normal):
        p = self.parameters
        floor = np.float32(1e-4)
        return tuple(
            np.maximum(np.float32(p["dw_min"]) * (1 + np.float32(p["spread"]) * normal()), floor)
            for _ in range(2)
        )

    def constant_values(self):
        return self.parameters["limit"], self.parameters["noise"]

    def weight_range(self, fabricated):
        limit = np.float32(self.parameters["limit"])
        return np.asarray(-limit), np.asarray(limit)

    @staticmethod
    def step(w, direction, noise, alpha_up, alpha_down, limit, std):
        if direction > 0:
            change = alpha_up * (1 - RATE * w / limit)
        else:
            change = -alpha_down * (1 + w / limit)
        return w + change * (1 + std * noise)
'''

COUNT = """
import json
import numpy as np
from rpucc.runtime.devices import make_device
from rpucc.runtime.devices.compiled import compile_update
from tests_runtime_tilings import Pulsing, Tiling, make_plane, pulse

plane = make_plane(make_device("MODULE:SoftBounds", {}), Tiling((0, 3), (0, 4)))
pulse(plane, np.ones((1, 4), np.float32), np.ones((1, 3), np.float32), Pulsing(lr=0.1))
stats = compile_update(plane.device).stats
print(json.dumps([sum(stats.cache_hits.values()), sum(stats.cache_misses.values()),
                  float(plane.W.sum())]))
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on sys.path with the user's module, and a kernel cache of its own."""
    monkeypatch.setenv("RPUCC_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def write(home: Path, name: str, text: str = SOFT_BOUNDS) -> str:
    (home / f"{name}.py").write_text(text, encoding="utf-8")
    return name


def test_the_compiled_update_equals_the_plain_step(home: Path) -> None:
    device = make_device(f"{write(home, 'soft_bounds_used')}:SoftBounds", {"limit": 0.7})
    assert device.dw_min == 0.01
    tiling = Tiling((0, 3, 7), (0, 4, 9))
    rng = np.random.default_rng(3)
    W = rng.uniform(-0.9, 0.9, tiling.shape).astype(np.float32)
    plane = make_plane(device, tiling, W)
    assert np.abs(plane.W).max() == np.float32(0.7)  # programmed within the device's range
    X = rng.uniform(-1, 1, (6, 9)).astype(np.float32)
    D = rng.uniform(-1, 1, (6, 7)).astype(np.float32)
    how = Pulsing(lr=0.1, bl=10, positions=3)
    expected, pulses = plain_pulse(plane, X, D, how)
    before = plane.W.copy()
    assert pulse(plane, X, D, how) == pulses > 100
    np.testing.assert_allclose(plane.W, expected, rtol=0, atol=1e-5)
    assert np.abs(plane.W - before).max() > 0.05


def test_soft_bounds_reach_their_symmetry_point(home: Path) -> None:
    """Up and down pulses in turn lead to w* = (a+ - a-) / (a+ / w_max - a- / w_min)."""
    name = write(home, "soft_bounds_symmetry")
    device = make_device(f"{name}:SoftBounds", {"noise": 0.0, "spread": 0.5, "dw_min": 0.02})
    tiling = Tiling((0, 8), (0, 8))
    plane = make_plane(device, tiling)
    X, D = np.ones((600, 8), np.float32), np.ones((600, 8), np.float32)
    D[1::2] = -1
    pulse(plane, X, D, Pulsing(lr=0.02, bl=1, positions=600))  # every line fires in every slot
    up, down = plane.parameters.astype(float)
    limit = device.parameters["limit"]
    symmetry = limit * (up - down) / (up + down)
    assert np.abs(plane.W - symmetry).max() < 2 * max(up.max(), down.max())
    assert np.abs(symmetry).max() > 0.2


def run(home: Path, module: str) -> tuple[int, int, float]:
    """(kernels loaded from disk, kernels compiled, sum of weights) in a fresh interpreter."""
    # The helper is copied: the test folders are no packages that a subprocess could import.
    helper = Path(__file__).with_name("tilings.py").read_text(encoding="utf-8")
    (home / "tests_runtime_tilings.py").write_text(helper, encoding="utf-8")
    path = os.pathsep.join(p for p in (str(home), os.environ.get("PYTHONPATH")) if p)
    result = subprocess.run(
        [sys.executable, "-c", COUNT.replace("MODULE", module)], capture_output=True, text=True,
        check=True, timeout=300,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    hits, misses, total = json.loads(result.stdout)
    return hits, misses, total


def test_compiled_once_and_again_after_an_edit(home: Path) -> None:
    module = write(home, "soft_bounds_edited")
    hits, misses, total = run(home, module)
    assert (hits, misses) == (0, 1)
    assert run(home, module) == (1, 0, total)
    write(home, module, SOFT_BOUNDS.replace("-alpha_down *", "-2 * alpha_down *"))
    hits, misses, doubled = run(home, module)
    assert (hits, misses) == (0, 1)
    assert doubled < 1.5 * total < 0  # all pulses go down


def test_compiled_again_after_an_edit_of_what_step_uses(home: Path) -> None:
    """A constant of the user's module is part of the step, though step's source is as it was."""
    module = write(home, "soft_bounds_constant")
    assert run(home, module)[:2] == (0, 1)
    write(home, module, SOFT_BOUNDS.replace("RATE = 1.0", "RATE = 3.0"))
    assert run(home, module)[:2] == (0, 1)


def test_the_same_source_under_another_name(home: Path) -> None:
    """A kernel on disk does not need the module that it was compiled from."""
    module = write(home, "soft_bounds_first_name")
    hits, misses, total = run(home, module)
    assert (hits, misses) == (0, 1)
    (home / f"{module}.py").unlink()
    assert run(home, write(home, "soft_bounds_second_name")) == (1, 0, total)


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("device_imports", "import no_such_library_here", "no_such_library_here"),
        ("device_broken", "def (", "device_broken"),
        ("device_raises", "raise ValueError('no licence')", "no licence"),
    ],
)
def test_a_module_that_cannot_be_imported(home: Path, name: str, text: str, part: str) -> None:
    with pytest.raises(TargetError) as caught:
        make_device(f"{write(home, name, text)}:SoftBounds", {})
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)
