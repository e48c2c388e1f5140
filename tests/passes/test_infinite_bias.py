"""A bias of -inf switches an output off: digital in inference, and refused where it cannot be."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import rpucc
from rpucc.errors import RpuccError

from .importer_models import net

BIAS = np.array([0.1, 0.0, -np.inf], np.float32)


def model() -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    w = rng.normal(0, 0.3, (4, 3)).astype(np.float32)
    text = "(float[N,4] x) => (float[N,3] y) { m = MatMul (x, w) [sum] y = Add (m, b) }"
    return net(text, w=w, b=BIAS)


@pytest.mark.parametrize(
    "override", [(), ("mapping.weight_scaling=off",), ("layer.*.analog=false",)]
)
def test_in_inference_it_stays_digital(override: tuple[str, ...]) -> None:
    program = rpucc.compile(model(), training=False, overrides=override, verify=True)
    x = np.random.default_rng(1).random((5, 4), np.float32)
    y = rpucc.Trainer(rpucc.Machine(program)).outputs(x)["y"]
    assert np.isneginf(y[:, 2]).all()
    assert np.isfinite(y[:, :2]).all()


def test_on_the_arrays_and_in_training_it_is_refused() -> None:
    with pytest.raises(RpuccError, match="its bias holds -inf, which no device can; keep it digit"):
        rpucc.compile(model(), training=False, overrides=['mapping.bias="array"'])
    with pytest.raises(RpuccError, match="1 of 3 that are infinite, and is trained"):
        rpucc.compile(model())
