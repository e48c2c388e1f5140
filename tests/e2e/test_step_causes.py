"""Steps that are too fine or too coarse, on real networks: said before they are taken, and after.

Every preset is passed over in silence.
"""

from __future__ import annotations

import numpy as np
import pytest

import rpucc
from rpucc.report.text.verdict import foreseen
from rpucc.runtime.cause import Cause
from rpucc.runtime.step_causes import step_causes
from rpucc.runtime.step_sizes import Slots, StepSizes, step_sizes
from rpucc.target.load import preset_names

from .test_verdict import digits, kinds, trained


def machine_of(target: str, *overrides: str, model: str = "lenet") -> rpucc.Machine:
    return rpucc.Machine(rpucc.compile(model, target, overrides=overrides, verify=False))


def causes(*overrides: str, lr: float = 0.01, batch_size: int = 1) -> tuple[Cause, ...]:
    return step_causes(machine_of("rpu-managed", *overrides), digits(), lr, batch_size)


def sizes(slots: Slots, dw_min: float = 1e-5) -> StepSizes:
    x, d = (np.array([values], np.float32) for values in ([1, 0.5], [1, 0.1]))
    return StepSizes("fc", x, d, 0.01, dw_min, slots, size=0.1, direct=True, devices=1)


def test_what_is_lost_to_probabilities_that_stop_at_one() -> None:
    """Gains are 10: every line fires at each of 10 slots, 40 pulses of the 1,650 asked for."""
    plain = Slots(10, managed=False, bl_managed=False)
    assert sizes(plain).made() == pytest.approx((40 / 1650, 1))
    assert sizes(plain, 0.00099).made() == pytest.approx((1, 1), rel=0.02)  # just so
    assert sizes(plain, 0.01).made() == pytest.approx((1, 0))
    assert sizes(plain).asked == pytest.approx([1000])
    long = Slots(250, managed=False, bl_managed=False)  # gains 2: of d only one is cut
    assert sizes(plain).made(long) == pytest.approx((250 * 2 * 1.2 / 1650, 1))
    short = Slots(10, managed=False, bl_managed=True)  # five slots carry what is asked for
    assert sizes(short, 0.002).made()[0] == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("model", ["lenet", "mlp"])
@pytest.mark.parametrize("target", preset_names())
def test_presets_are_passed_over(target: str, model: str) -> None:
    found = step_causes(machine_of(target, model=model), digits(), 0.01, 1)
    # Of these a pulse moves a weight by more than the weights are large: 4 and 21 states, and the
    # pulse near 0 of phase-change memory.
    coarse = {"reram-array-hfo2", "reram-array-om", "pcm"}
    assert [cause.kind for cause in found] == ["coarse"] * (target in coarse)


@pytest.mark.parametrize("batch", [8, 32, 128])
def test_rates_that_go_with_a_batch_are_passed_over(batch: int) -> None:
    """The table of docs/training.md."""
    assert causes(lr=0.01 * batch, batch_size=batch) == ()


def test_fine_steps_with_what_makes_up_for_them() -> None:
    (cause,) = causes("device.dw_min=1e-6")
    assert cause.kind == "fine"
    assert cause.figure == pytest.approx(0.043, abs=0.01)
    assert cause.options == ("update.bl=255", "update.update_management=true")
    assert cause.step is None
    (cause,) = causes("device.dw_min=1e-7")
    assert cause.full == pytest.approx(1, abs=0.1)
    assert cause.step == pytest.approx(9e-4, rel=0.1)  # 255 slots are too few
    assert "in 100 % of the updates every slot fires" in foreseen((cause,))
    assert "BL 10 cannot make" in foreseen((cause,))
    assert foreseen((cause,)).endswith("dw_min of about 0.0009")


def test_a_rate_that_is_too_large_is_no_matter_of_steps() -> None:
    (cause,) = causes(lr=5)
    assert (cause.advice, cause.options, cause.step) == (0.01, (), None)
    assert foreseen((cause,)).endswith("try --lr 0.01")


def test_coarse_steps_beside_small_weights() -> None:
    (cause,) = causes("device.dw_min=0.03")
    assert (cause.kind, cause.layers) == ("coarse", ("conv2", "fc1"))
    assert cause.figure == pytest.approx(1.2, abs=0.1)
    assert "try a smaller dw_min, or --set mapping.devices_per_weight=4" in foreseen((cause,))
    assert causes("device.dw_min=0.03", "mapping.devices_per_weight=4") == ()
    assert causes("device.dw_min=0.01") == ()


def test_errors_are_those_of_a_mean_over_the_batch() -> None:
    one, eight = (step_sizes(machine_of("rpu-managed"), digits(), 0.01, batch) for batch in (1, 8))
    for a, b in zip(one, eight, strict=True):
        assert a.asked == pytest.approx(8 * b.asked, rel=1e-5)


def test_looking_changes_nothing() -> None:
    left, right = machine_of("rpu-managed", model="mlp"), machine_of("rpu-managed", model="mlp")
    step_causes(left, digits(), 0.01, 1)
    for machine in (left, right):
        rpucc.Trainer(machine).fit(digits(300, 100), epochs=1)
    assert left.history == right.history
    state = right.state()
    assert all(np.array_equal(held, state[name]) for name, held in left.state().items())


def test_the_verdict_names_fine_steps_in_place_of_what_comes_of_them() -> None:
    found = trained("rpu-managed", "device.dw_min=1e-7", model="mlp")
    assert found.learned != "well"
    assert kinds(found) == ["fine"]
    assert "--set update.bl=255" in str(found)
    assert "--lr" not in str(found)


def test_the_verdict_names_coarse_steps_of_devices_with_wide_bounds() -> None:
    wide = ("device.w_max=20", "device.w_min=-20")
    found = trained("rpu-managed", "device.dw_min=0.3", *wide)
    assert found.learned != "well"
    assert "coarse" in kinds(found)
    assert "states" not in kinds(found)


def test_train_says_it_before_the_first_epoch(cli, tiny_model, tiny_data) -> None:
    options = ["--data", tiny_data, "--lr", 0.05, "--epochs", 2]
    fine = cli("train", tiny_model, *options, "--set", "device.dw_min=1e-8", "-o", "fine")
    lines = fine.stderr.splitlines()
    said = next(i for i, line in enumerate(lines) if line.startswith("updates: "))
    assert "cannot make" in " ".join(lines[said : said + 4])
    assert max(map(len, lines[said : said + 4])) <= 100
    assert said < next(i for i, line in enumerate(lines) if line.startswith("verdict: "))
    good = cli("train", tiny_model, *options, "-o", "good")
    assert "updates: " not in good.stderr
    again = cli("train", "fine", "--resume")  # there is nothing left to train
    assert "updates: " not in again.stderr
