"""The stages of a read: what stands between the digital part and an array, a file each.

Adding one is a file beside these, its place among the bases of `Periphery`, and its line in
`rpucc.runtime.reference.read`.
"""

from __future__ import annotations

from rpucc.stages.adc import Adc
from rpucc.stages.base import ProductStage, Stage
from rpucc.stages.dac import Dac
from rpucc.stages.ir_drop import IrDrop
from rpucc.stages.read_noise import ReadNoise
from rpucc.stages.signal_bound import SignalBound
from rpucc.target.keys import BACKWARD, conflict, with_backward

__all__ = ["PRODUCT_STAGES", "STAGES", "Periphery", "ProductStage", "Stage"]


class _Stages(Adc, SignalBound, ReadNoise, IrDrop, Dac):
    """All of them: from the outputs back to the inputs, so that the keys come in a read's order."""


STAGES: tuple[type[Stage], ...] = _Stages.__bases__[::-1]
"""In the order in which a read passes them."""

PRODUCT_STAGES = tuple(stage for stage in STAGES if issubclass(stage, ProductStage))


@with_backward
class Periphery(_Stages):
    """What stands between an array and the digital part (`[periphery]`, physics.md section 2).

    The keys that end in _backward are those of the backward cycle; "same", their default, takes
    the forward cycle's value, also where a layer rule has changed that.
    """

    def check(self, where: str, kinds: tuple[str, ...]) -> None:
        """Refuse an ADC without a bound, in either cycle; the error names the cycle's own key."""
        for cycle, end in ((self, ""), (self.backward, BACKWARD)):
            if cycle.adc_bits and not cycle.bound:
                raise conflict(
                    f"{where}.adc_bits{end}",
                    cycle.adc_bits,
                    f"0 where bound{end} = 0 (an ADC converts the range [-bound, bound]: give both "
                    "or neither)",
                )
