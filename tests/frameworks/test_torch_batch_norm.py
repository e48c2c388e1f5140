"""Training with statistics of the batch beside PyTorch: the same file, samples and order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import rpucc
from rpucc.runtime.kernels.philox import shuffle

from ..passes.test_batch_statistics import BATCH, PLACES, model

pytest.importorskip("torch", reason="PyTorch is not installed")
from .torch_network import Network

FRESH = Path(__file__).parents[3] / "shared" / "cases" / "make_fresh_batch_norm.py"


@pytest.mark.parametrize("place", PLACES)
def test_one_ideal_step_is_pytorchs(place: str) -> None:
    """Loss, all weights after a step of rate 1 (so all gradients), and running statistics."""
    file = model(place)
    shape = [d.dim_value for d in file.graph.input[0].type.tensor_type.shape.dim][1:]
    rng = np.random.default_rng(0)
    x, y = rng.random((8, *shape), np.float32), rng.integers(0, 4, 8)
    machine = rpucc.Machine(rpucc.compile(file, "ideal", overrides=BATCH, verify=False))
    history = rpucc.Trainer(machine).fit((x, y, x, y), epochs=1, batch_size=8, lr=1.0)
    theirs = Network(file)
    loss = theirs.step(x, y, 1.0)
    assert history[0].train_loss == pytest.approx(loss, abs=1e-5)
    ours = machine.export().weights
    for name in ours:
        np.testing.assert_allclose(
            ours[name], theirs.values[name].detach().numpy(), rtol=1e-4, atol=1e-5, err_msg=name
        )


@pytest.mark.skipif(not FRESH.exists(), reason="the shared cases are not here")
def test_the_first_20_steps_of_a_fresh_network_are_pytorchs(tmp_path: Path) -> None:
    """Each of 20 steps from the same state: at this rate ten batch norms amplify rounding so fast
    that PyTorch in single and in double precision lie 1e-3 apart at the fourth loss, 3e-2 later.
    """
    subprocess.run([sys.executable, str(FRESH)], cwd=tmp_path, check=True)
    path = tmp_path / "fresh_batch_norm.onnx"
    digits = rpucc.load_dataset("mnist-mini")
    machine = rpucc.Machine(rpucc.compile(path, "ideal", overrides=BATCH, verify=False), seed=0)
    losses: list[float] = []
    states = [machine.export().weights]

    class Steps:
        @staticmethod
        def on_step(step: rpucc.StepMetrics) -> None:
            losses.append(step.loss)
            states.append(machine.export().weights)
            if len(losses) == 20:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rpucc.Trainer(machine).fit(digits, epochs=1, batch_size=32, lr=0.03, callbacks=[Steps()])
    order = np.arange(len(digits.y_train))
    shuffle(order, 0, *machine.key)
    theirs = Network(onnx.load(path))
    for k, chosen in enumerate(order[: 20 * 32].reshape(20, 32)):
        x = digits.x_train[chosen].reshape(-1, 1, 28, 28).astype("f4") / np.float32(255)
        y = digits.y_train[chosen].astype(np.int64)
        theirs.load(states[k])
        assert losses[k] == pytest.approx(theirs.step(x, y, 0.03), abs=1e-5)
        for name, after in states[k + 1].items():
            found = theirs.values[name].detach().numpy()
            # Rounding flips a ReLU or the winner of a pool here and there: that moves weights.
            atol = 1e-5 if name[0] in "mv" else 5e-4
            np.testing.assert_allclose(after, found, rtol=1e-4, atol=atol, err_msg=f"{k} {name}")
    assert losses[-1] < losses[0] - 0.1
