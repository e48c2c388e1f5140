"""Copies of a layer that learn on their own, each from its random share of the positions."""

from __future__ import annotations

import numpy as np
import pytest

import rpucc
from rpucc.errors import TargetError, UnsupportedError
from rpucc.runtime.kernels.philox import seed_key
from rpucc.runtime.kernels.shares import assign, collect, draw_order
from rpucc.runtime.machine import Machine

from .stock import assert_close, run_executor, stock_values, training_feeds, training_outputs

COPIES = 3
OVERRIDES = (f"mapping.replicas={COPIES}", 'mapping.replica_updates="independent"')


def compiled(target: str = "ideal", *overrides: str, verify: bool = False) -> rpucc.Program:
    return rpucc.compile("lenet", target, overrides=(*OVERRIDES, *overrides), verify=verify)


@pytest.mark.parametrize("P", [1, 7, 60])
def test_collect_undoes_assign(P: int) -> None:
    x = np.random.default_rng(0).normal(size=(4, P, 5)).astype(np.float32)
    each = -(-P // COPIES)
    shares = np.full((4, COPIES * each, 5), np.nan, np.float32)
    y, order = np.empty_like(x), np.empty(P, np.int32)
    rest = (order, 3, 1, 0, *seed_key(5))
    assign(x, shares, *rest)
    collect(shares, y, *rest)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(shares[:, P:], 0)


def test_every_position_falls_to_every_copy_equally_often() -> None:
    P, samples = 12, 3000
    order, counts = np.empty(P, np.int32), np.zeros((P, COPIES))
    for sample in range(samples):
        draw_order(order, sample, 0, 0, *seed_key(1))
        assert sorted(order) == list(range(P))
        counts[order, np.arange(P) // (P // COPIES)] += 1
    # Binomial: 5 standard deviations of 36 counts.
    expected = samples / COPIES
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected * (1 - 1 / COPIES))


def test_layers_samples_and_evaluation_have_orders_of_their_own() -> None:
    orders = []
    for address in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)):
        order = np.empty(50, np.int32)
        draw_order(order, *address, *seed_key(1))
        orders.append(tuple(order))
    assert len(set(orders)) == 4


def test_the_passes_keep_what_the_network_computes() -> None:
    program = compiled(verify=True)
    assert [layer.replicas for layer in program.plan.layers] == [COPIES, COPIES, 1, 1]
    assert [layer.groups for layer in program.plan.layers] == [1, 1, 1, 1]
    assert program.plan.arrays == {"small": 7, "large": 1}
    assert program.plan.layers[0].seconds == pytest.approx(
        576 / COPIES * program.target.arrays[0].t_read
    )


@pytest.mark.parametrize("batch", [1, 2])
def test_copies_learn_from_their_own_shares(batch: int) -> None:
    """Forward as onnxruntime; what all copies of a matrix learn together is the whole gradient."""
    program, single = compiled(), rpucc.compile("lenet", "ideal", verify=False)
    feeds = training_feeds(program, batch)
    machine = Machine(program)
    before = {name: array.matrices.copy() for name, array in machine.arrays.items()}
    executor = run_executor(machine, feeds, training_outputs(program), batch)
    expected = stock_values(single.model, feeds)
    for name in (program.output, "loss", "conv1_out", "conv2_out"):
        assert_close(executor[name], expected[name], name)
    for name, array in machine.arrays.items():
        moves = array.matrices - before[name]
        whole = expected[f"{name}.next"] - before[name][0]
        np.testing.assert_allclose(moves.sum(axis=0), whole, atol=3e-6)
        if len(moves) > 1:
            assert not np.allclose(moves[0], moves[1], atol=1e-5)


def test_a_managed_step_is_repeatable() -> None:
    program = compiled("rpu-managed", "update.bl=1")
    runs = []
    for _ in range(2):
        machine = Machine(program, 3)
        feeds = training_feeds(program, 2)
        run_executor(machine, feeds, training_outputs(program), 2)
        runs.append({name: array.weights.copy() for name, array in machine.arrays.items()})
    for name, W in runs[0].items():
        np.testing.assert_array_equal(W, runs[1][name])


def test_what_cannot_be() -> None:
    with pytest.raises(TargetError, match=r'replicas=auto: found "auto", allowed: a number where'):
        rpucc.compile("lenet", "ideal", overrides=("mapping.replicas=auto", OVERRIDES[1]))
    with pytest.raises(UnsupportedError, match=r"depthwise.*independent.*group=32.*shared"):
        rpucc.compile("mobilenet-v2-cifar", "ideal", overrides=OVERRIDES, verify=False)
