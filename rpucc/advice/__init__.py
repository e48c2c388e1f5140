"""Which algorithm bears which device: figures that were measured, and how a device lies among them.

What a device is like is measured in `rpucc.runtime.device_traits`; `measured.toml` holds what came
out of the experiment that it names.
"""

from __future__ import annotations

from rpucc.advice.measured import Condition, Measured, measured

__all__ = ["Condition", "Measured", "measured"]
