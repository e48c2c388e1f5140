"""Devices as published presets have them, stated in float64: sampling and one pulse.

The statement of Rasch et al. 2021 (arXiv 2104.02184) that the device models are compared with, with
rpucc's names of parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Values = Mapping[str, Any]

MIRRORED = {"asymmetry": "one-sided", "consistency": "mirror"}


def sample(p: Values, normal: Callable[[], Array]) -> dict[str, Array]:
    """Steps up and down, bounds hi and lo, as `sample` of the twin draws them."""
    hi = p["w_max"] * (1 + p["w_max_dtod"] * normal())
    lo = p["w_min"] * (1 + p["w_min_dtod"] * normal())
    spread = p["dw_min_dtod"] * normal()
    gain = np.exp(spread) if p["dw_min_log_normal"] else 1 + spread
    r = p["up_down_dtod"] * normal()
    up = np.abs(p["dw_min"] * (gain + min(p["up_down"], 0) + r))
    down = np.abs(p["dw_min"] * (gain - max(p["up_down"], 0) - r))
    hi, lo = np.abs(np.maximum(hi, lo)), -np.abs(np.minimum(hi, lo))
    return {"up": up, "down": down, "hi": hi, "lo": lo}


def pulse(model: str, p: Values, d: Mapping[str, Array], v: Array, up: bool, noise: Array) -> Array:
    """The device's own value after one pulse from v; noise: standard normals."""
    s, c, sign = d["up" if up else "down"], p["dw_min_std"] * noise, 1 if up else -1
    hi, lo, span = d["hi"], d["lo"], d["hi"] - d["lo"]
    if model in ("linear-step", "soft-bounds"):
        part = 1 - d["ku" if up else "kd"] * v
        move = s * (part * (1 + c) if p["mult_noise"] else part + c)
    elif model == "exp-step":
        z = 2 * p["a"] * v / span + p["b"]
        big, rate = (p["A_up"], p["gamma_up"]) if up else (p["A_down"], -p["gamma_down"])
        move = s * np.maximum(1 - big * np.exp(rate * z), 0)
        move += c * (move + p["dw_min_std_add"] + p["dw_min_std_slope"] * np.abs(v))
    elif model == "pow-step":
        left = (hi - v if up else v - lo) / span
        move = s * left ** d["gu" if up else "gd"] * (1 + c)
    elif model == "piecewise-step":
        nodes = p["nodes_up" if up else "nodes_down"]
        at = np.linspace(0, 1, len(nodes))
        move = s * np.interp((v - lo) / span, at, nodes) * (1 + c)
    elif model == "table-step":
        way, part = "up" if up else "down", (v - lo) / span
        at = (np.asarray(p["states"]) - p["states"][0]) / np.ptp(p["states"])
        mean, spread = (np.interp(part, at, p[f"{key}_{way}"]) for key in ("nodes", "spreads"))
        move = s * (mean + c * spread)
    else:
        move = s * (1 + c)
    return np.clip(v + sign * move, lo, hi)
