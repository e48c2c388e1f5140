"""Fix weights: those that a mask keeps what they are, and tiles that need not be there at all.

Which weights those are is `update.mask` of the target. Not for how the machine holds them: no pulse
reaches a crosspoint whose mask is false (`rpucc/runtime`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import onnx_ir as ir

from rpucc.layers import ABSENT, FIXED_ZEROS, MASKED, AnalogLayer, analog_layers, other_names
from rpucc.masks import absent_of, mask_of_zeros
from rpucc.passes.base import RpuPass
from rpucc.passes.graph_reader import known_shape
from rpucc.passes.graph_writer import Emitter
from rpucc.passes.mask_file import MaskFile
from rpucc.passes.notes import add_notes
from rpucc.plan.layers import digital_layers
from rpucc.step_contract import StepContract
from rpucc.target.values import NO_MASK, ZEROS

if TYPE_CHECKING:
    from rpucc.masks import Mask
    from rpucc.target.target import Target


@dataclass(frozen=True)
class MaskWeights(RpuPass):
    """Give updates the mask of their weights, and say which tiles hold fixed zeros alone.

    Requires: tiled Reads and Updates. Leaves behind: in training, for each layer of which
    `update.mask` fixes a weight, a constant `<layer>.W.mask`, bool [R, C] and true where the weight
    is trained, and MaskedUpdate in the place of Update. On every node of a layer with tiles of
    nothing but fixed zeros the attribute `absent`: these tiles are not there. In inference, and in
    layers that training leaves as they are, all zeros are fixed: `rpucc.fixed_zeros` on the Reads.

        before: W2 = Update(W, x, d, lr)
        after:  W2.masked = MaskedUpdate(W, x, d, lr, W.mask) absent=[0, 3]
    """

    target: Target

    name: ClassVar[str] = "mask_weights"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Mask every layer that the target has a mask for; TargetError for a file that is none."""
        masked = list(self._masks(model))
        if masked and all(mask is None for _, mask in masked):
            add_notes(model, ["update.mask: no weight is fixed, for none of its layers has a zero"])
        for layer, mask in masked:
            if not layer.updates:
                for node in layer.reads:
                    node.metadata_props[FIXED_ZEROS] = "1"
            elif mask is not None:
                _give_mask(model, layer, mask)
            if absent := absent_of(layer):
                for node in layer.nodes:
                    node.attributes[ABSENT] = ir.AttrInt64s(ABSENT, absent)
        return ir.passes.PassResult(model, modified=bool(masked))

    def _masks(self, model: ir.Model) -> Iterator[tuple[AnalogLayer, Mask | None]]:
        """Yield the layers that have a mask, and the mask; None where it fixes no weight."""
        layers = [layer for layer in analog_layers(model) if not layer.is_feedback]
        wanted = {layer.name: self.target.for_layer(layer.name).update.mask for layer in layers}
        others = other_names(model)
        names = {layer.name: others.get(layer.name, ()) for layer in layers}
        digital = [layer.name for layer in digital_layers(model)]
        with ExitStack() as opened:
            files: dict[str, tuple[MaskFile, dict[str, str]]] = {}
            for path in dict.fromkeys(wanted.values()):
                if path not in (NO_MASK, ZEROS):
                    file = MaskFile(path, self.target.folder)
                    opened.callback(file.close)
                    files[path] = file, file.check_names(names, digital)
            for layer in layers:
                source = wanted[layer.name]
                if source == ZEROS:
                    yield layer, mask_of_zeros(layer)
                elif source in files and layer.name in files[source][1]:
                    file, arrays = files[source]
                    mask = file.mask(arrays[layer.name], layer)
                    yield layer, None if mask.all() else mask


def _give_mask(model: ir.Model, layer: AnalogLayer, mask: Mask) -> None:
    """Put the op with a mask in the place of a layer's Update."""
    (update,) = layer.updates
    old, weight = update.outputs[0], str(layer.weight.name)
    emitter = Emitter(model, before=update, scope=update.name or "")
    emitter.metadata = dict(update.metadata_props)
    value = emitter.initializer(f"{weight}.mask", np.ascontiguousarray(mask))
    result = emitter.rpu(
        f"{MASKED}{update.op_type}",
        *(each for each in update.inputs if each is not None),
        value,
        out=f"{weight}.masked.next",
        name=update.name or "",
        **{key: attribute.value for key, attribute in update.attributes.items()},
    )
    result.shape = known_shape(layer.weight).copy()
    node = result.producer()
    assert node is not None
    outputs = model.graph.outputs
    outputs[outputs.index(old)] = result
    old.replace_all_uses_with(result)
    model.graph.remove(update, safe=True)
    node.name = update.name  # free again
    layer.updates[:] = [node]
    step = StepContract.of(model)
    replace(step, state={**step.state, weight: str(result.name)}).write(model)
