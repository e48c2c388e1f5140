"""Dropouts of Keras models: those that ONNX has an operator for draw, the others are named."""

from __future__ import annotations

import os
from importlib.util import find_spec

import numpy as np
import pytest

import rpucc

from ..passes.test_draw_dropouts import drops

BACKENDS = [name for name in ("torch", "jax", "tensorflow") if find_spec(name) is not None]
if find_spec("keras") is None or not BACKENDS:
    pytest.skip("Keras, or a backend of it, is not installed", allow_module_level=True)
os.environ.setdefault("KERAS_BACKEND", BACKENDS[0])

import keras  # noqa: E402
from keras import layers as L  # noqa: E402, N812

# Keras's backend for torch asks NumPy for arrays in a way that NumPy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def network(*layers: object) -> object:
    return keras.Sequential([keras.Input((8, 8, 2)), *layers, L.Flatten(), L.Dense(3, name="fc")])


def test_a_dropout_of_images_and_of_vectors_draws() -> None:
    model = network(
        L.Conv2D(4, 3, name="conv"), L.Dropout(0.3, name="pixels"), L.ReLU(), L.Flatten(),
        L.Dropout(0.5, name="units"), L.Dropout(0.0, name="none"),
    )  # fmt: skip
    exported = rpucc.from_keras(model)
    program = rpucc.compile(exported, "ideal", verify=True)
    assert program.verified
    assert drops(program) == {"pixels": (np.float32(0.3), 0), "units": (0.5, 1)}
    x = np.random.default_rng(0).random((4, 2, 8, 8), np.float32)
    found = rpucc.Trainer(rpucc.Machine(program)).predict(x)
    expected = model.predict(np.moveaxis(x, 1, -1), verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_others_are_left_out_with_a_note() -> None:
    model = network(
        L.Conv2D(4, 3), L.SpatialDropout2D(0.2, name="channels"),
        L.GaussianNoise(0.1, name="noise"),
        L.AlphaDropout(0.0), L.Dropout(0.5, noise_shape=(None, 1, 1, 4), name="shaped"),
    )  # fmt: skip
    program = rpucc.compile(rpucc.from_keras(model), "ideal", verify=False)
    assert drops(program) == {}
    assert program.plan.notes == (
        "channels (SpatialDropout2D), noise (GaussianNoise), shaped (Dropout) draw at random in "
        "training, in a way that ONNX has no operator for: left out",
    )
