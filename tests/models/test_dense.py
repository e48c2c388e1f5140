"""Fully connected networks from NumPy arrays."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

import rpucc
from rpucc import ArgumentError

RNG = np.random.default_rng(0)
W1, B1 = RNG.normal(size=(5, 7)), RNG.normal(size=5)
W2, B2 = RNG.normal(size=(3, 5)), RNG.normal(size=3)


def test_it_computes_what_numpy_computes():
    x = RNG.random((4, 7))
    hidden = x @ W1.T + B1
    for name, y in (("sigmoid", 1 / (1 + np.exp(-hidden))), ("tanh", np.tanh(hidden))):
        model = rpucc.dense([(W1, B1), (W2, None)], activation=name)
        onnx.checker.check_model(model, full_check=True)
        session = onnxruntime.InferenceSession(model.SerializeToString())
        (logits,) = session.run(None, {"x": x.astype("f4")})
        np.testing.assert_allclose(logits, y @ W2.T, atol=1e-5)
    assert rpucc.dense([(W1, B1), (W2, B2)]) == rpucc.dense(iter([(W1, B1), (W2, B2)]), "sigmoid")


def test_integers_and_lists_will_do():
    model = rpucc.dense([([[1, 2], [3, 4]], [0, 1])])
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (y,) = session.run(None, {"x": np.ones((1, 2), "f4")})
    assert y.tolist() == [[3, 8]]


def test_the_weights_are_kept_trained_and_come_back():
    """They are no initial weights, which a compilation may scale as it likes."""
    program = rpucc.compile(rpucc.dense([(W1, B1), (W2, B2)]), "ideal", verify=True)
    machine = rpucc.Machine(program)
    trainer = rpucc.Trainer(machine)
    x, y = RNG.random((60, 7), np.float32), np.arange(60) % 3
    hidden = 1 / (1 + np.exp(-(x @ W1.T + B1)))
    np.testing.assert_allclose(trainer.predict(x), hidden @ W2.T + B2, atol=1e-5)
    exact = machine.export().weights
    np.testing.assert_allclose(exact["fc1.weight"], W1, rtol=1e-6)
    trainer.fit((x, y), epochs=1, lr=0.1)
    assert np.abs(machine.export().weights["fc2.bias"] - B2).max() > 1e-3


def test_weights_that_no_device_holds_are_divided_not_clipped():
    """Initial weights would be left as they are, and most cut off."""

    def clipped(model: onnx.ModelProto) -> int:
        return rpucc.Machine(rpucc.compile(model, "rpu-managed", verify=False)).clipped

    kept = rpucc.dense([(W1, B1), (W2, B2)])
    initial = onnx.ModelProto()
    initial.CopyFrom(kept)
    onnx.helper.set_model_props(initial, {"rpucc.initial_weights": "1"})
    assert 3 * clipped(kept) < clipped(initial)


@pytest.mark.parametrize(
    ("layers", "activation", "said"),
    [
        ([], "sigmoid", "there is no layer"),
        (3, "sigmoid", "dense(layers): found 3; allowed: a list of (W, b)"),
        ([W1], "sigmoid", "dense(layers)[0]: found a numpy.ndarray; allowed: a pair (W, b)"),
        ([(W1.T, B1)], "sigmoid", "found [7, 5], and b [outputs], found [5]; pass W.T"),
        ([(W1, B2)], "sigmoid", "found [5, 7], and b [outputs], found [3]"),
        (
            [(W1, B1), (W2.T, None)],
            "tanh",
            "dense(layers)[1]: W is [outputs, inputs], found [5, 3]",
        ),
        (
            [(B1, B1)],
            "sigmoid",
            "W: found shape [5] and type float64; allowed: real numbers with 2",
        ),
        ([(W1, W1)], "sigmoid", "b: found shape [5, 7]"),
        ([(np.zeros((0, 3)), None)], "sigmoid", "at least one"),
        ([(W1.astype(complex), None)], "sigmoid", "type complex128"),
        ([(W1 > 0, None)], "sigmoid", "type bool"),
        ([(W1 * np.nan, None)], "sigmoid", "W holds NaN, infinity"),
        ([(W1 * 1e300, None)], "sigmoid", "W holds NaN, infinity"),
        ([([[1, 2], [3]], None)], "sigmoid", "allowed: an array of real numbers with 2 axes"),
        (
            [(W1, B1)],
            "softmax",
            "dense(activation): found the str 'softmax'; allowed: one of relu,",
        ),
        ([(W1, B1)], None, "dense(activation): found None"),
    ],
)
def test_what_is_no_network_is_refused_in_a_line(layers, activation, said):
    with pytest.raises(ArgumentError) as caught:
        rpucc.dense(layers, activation=activation)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_help_names_every_activation():
    from rpucc.models.activations import ACTIVATIONS

    text = " ".join(rpucc.dense.__doc__.split())
    assert all(name in text for name in ACTIVATIONS)
