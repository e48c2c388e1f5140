"""Random numbers never repeat: each word of a draw's counter has a limit at which rpucc says so.

The words: samples, epochs, positions, lines, slots and pulses, chunks of a batch, tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import rpucc
from rpucc.errors import ArgumentError, RpuccError
from rpucc.runtime import addresses
from rpucc.runtime.addresses import CHUNKS, ELEMENTS, PLACES, POSITIONS, WORD
from rpucc.runtime.checkpoint import load_checkpoint, save_checkpoint
from rpucc.runtime.counters import MOST_DRAWS
from rpucc.runtime.devices import make_device
from rpucc.runtime.instructions.update import check_pulses
from rpucc.runtime.instructions.update_scratch import counted_chunk
from rpucc.runtime.kernels.philox import fill_words
from rpucc.runtime.layout import Layout
from rpucc.runtime.machine import Machine
from rpucc.runtime.measure import measure
from rpucc.runtime.plane import Plane
from rpucc.runtime.trainer import Trainer

from .small import tiny, tiny_data
from .tilings import Tiling, make_plane

SAMPLES = "random numbers would repeat after 4,294,967,296 samples or epochs; train fewer"
LAYER = "layer 'c': random numbers would repeat: "
DATA = tiny_data()
TRAINED, TESTED = len(DATA.y_train), len(DATA.y_test)


def machine(sample: int = 0, *, earlier: int = 0, epoch: int = 0) -> Machine:
    made = Machine(tiny("rpu-managed"))
    made.counters.sample, made.counters.earlier, made.counters.epoch = sample, earlier, epoch
    return made


def pixels(n: int) -> np.ndarray:
    return DATA.x_train[:n].astype(np.float32) / np.float32(255)


# ---------------------------------------------------------------- samples and epochs


def fit(made: Machine) -> None:
    Trainer(made).fit(DATA, epochs=made.counters.epoch + 1, batch_size=8)


def stream() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    yield pixels(5), DATA.y_train[:5]


USES: dict[str, tuple[Callable[[Machine], object], int]] = {
    "fit": (fit, TRAINED + TESTED),
    "stream": (
        lambda m: Trainer(m).fit((stream, (pixels(4), DATA.y_train[:4])), epochs=1, lr=0.1), 5,
    ),
    "forward": (lambda m: m.forward(pixels(3)), 3),
    "evaluate": (lambda m: Trainer(m).evaluate(pixels(4), DATA.y_train[:4]), 4),
    "predict": (lambda m: Trainer(m).predict(pixels(4)), 4),
    "forward of an evaluation": (lambda m: m.forward(pixels(4), training=False), 4),
}  # fmt: skip


@pytest.mark.parametrize("use", USES)
def test_samples(use: str) -> None:
    """The last one that has draws is taken; one more is refused, and nothing has changed."""
    call, needed = USES[use]
    if use != "stream":  # its test part is as long as it is
        call(machine(MOST_DRAWS - needed))
    made = machine(MOST_DRAWS - needed + 1)
    before = {name: array.copy() for name, array in made.state().items()}
    with pytest.raises(RpuccError, match=SAMPLES) as refused:
        call(made)
    assert "\n" not in str(refused.value)
    assert made.counters.sample == MOST_DRAWS - needed + 1
    for name, array in made.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_an_exact_evaluation_draws_nothing() -> None:
    Trainer(machine(MOST_DRAWS)).evaluate(pixels(4), DATA.y_train[:4], ideal=True)


@pytest.mark.parametrize(("earlier", "epoch"), [(MOST_DRAWS - 1, 0), (0, 5), (MOST_DRAWS - 8, 7)])
def test_epochs(earlier: int, epoch: int) -> None:
    """Those before the first that is counted too: all name the order of the samples."""
    fit(machine(earlier=earlier, epoch=epoch))
    made = machine(earlier=earlier + 1, epoch=epoch)
    if earlier:
        with pytest.raises(RpuccError, match=SAMPLES):
            fit(made)
    assert made.counters.epoch == epoch


def test_a_checkpoint_at_the_limit_is_loaded_and_not_trained_further(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    made = machine(MOST_DRAWS - TRAINED - TESTED, earlier=3)
    save_checkpoint(made, path)
    again = load_checkpoint(path, made.program)
    fit(again)
    assert again.counters.sample == MOST_DRAWS - TESTED
    save_checkpoint(again, path)
    last = load_checkpoint(path, made.program)
    with pytest.raises(RpuccError, match=f"2 epochs of {TRAINED} samples after .*{SAMPLES}"):
        Trainer(last).fit(DATA, epochs=2, batch_size=8)
    Trainer(last).evaluate(DATA)
    made.counters.sample = MOST_DRAWS + 1
    save_checkpoint(made, path)
    with pytest.raises(RpuccError, match="damaged"):
        load_checkpoint(path, made.program)


def test_half_an_epoch_counts_as_half() -> None:
    made = machine(MOST_DRAWS - TRAINED - TESTED + 8)
    made.counters.done = 8
    fit(made)
    assert made.counters.sample == MOST_DRAWS - TESTED


@pytest.mark.parametrize("call", ["read", "update", "pulse"])
def test_an_array_by_itself(call: str) -> None:
    array = rpucc.Array("soft-bounds", 2, 3, periphery={"read_noise": 0.1})
    x, d = np.ones((2, 3)), np.ones((2, 2))
    uses = {
        "read": lambda: array.read(x),
        "update": lambda: array.update(x, d, 0.1),
        "pulse": lambda: [array.pulse(np.ones((2, 3))) for _ in range(2)],
    }
    array._samples = MOST_DRAWS - 2
    uses[call]()
    before = array.weights.copy()
    array._samples = MOST_DRAWS
    with pytest.raises(RpuccError, match=f"array: {SAMPLES}"):
        uses[call]()
    np.testing.assert_array_equal(array.weights, before)


# ---------------------------------------------------------------- words of a layer


def layout(rows: int, columns: int) -> Layout:
    return Tiling((0, rows), (0, columns)).layout()


@pytest.mark.parametrize(
    ("fits", "beyond", "what"),
    [
        (
            lambda: addresses.hold_read("c", 2**18, 2**16, PLACES - 1),
            lambda: addresses.hold_read("c", 2**18 + 1, 2**16, 0),
            "values that a sample puts through a tile: 17,179,934,720, and 17,179,869,184 have",
        ),
        (
            lambda: addresses.hold_read("c", 1, 1, PLACES - 1),
            lambda: addresses.hold_read("c", 1, 1, PLACES),
            "places that read the matrix: 16,777,217, and 16,777,216 have",
        ),
        (
            lambda: addresses.hold_update("c", layout(64, 2), POSITIONS, 10, 1),
            lambda: addresses.hold_update("c", layout(1, 2), POSITIONS + 1, 10, 1),
            "positions of a sample: 67,108,865, and 67,108,864 have",
        ),
        (
            lambda: addresses.hold_update("c", layout(65, 2), WORD // 65, 10, 1),
            lambda: addresses.hold_update("c", layout(65, 2), WORD // 65 + 1, 10, 1),
            "rows of a tile times positions of a sample: 4,294,967,",
        ),
        (
            lambda: addresses.hold_update("c", layout(1, 1024), 2**20, 16, None),
            lambda: addresses.hold_update("c", layout(1, 1024), 2**20, 17, None),
            "pulses that a row of a tile may get in a sample: 18,253,611,008, and 17,179,869,184",
        ),
        (
            lambda: addresses.hold_update("c", layout(1, 2), 1, 10, CHUNKS),
            lambda: addresses.hold_update("c", layout(1, 2), 1, 10, CHUNKS + 1),
            "groups of positions that are counted together: 65,537, and 65,536 have",
        ),
        (
            lambda: addresses.hold_transfer("c", 2**10, 2**16, 255),
            lambda: addresses.hold_transfer("c", 2**11, 2**16, 255),
            "pulse slots of a transfer: 34,225,520,640, and 17,179,869,184 have",
        ),
    ],
)
def test_words_of_a_layer(fits: Callable[[], None], beyond: Callable[[], None], what: str) -> None:
    fits()
    with pytest.raises(RpuccError) as refused:
        beyond()
    assert str(refused.value).startswith(LAYER + what)
    assert "\n" not in str(refused.value)


def test_elements_are_counted_as_the_kernels_count_them() -> None:
    """The last element that has draws of its own, and the one behind it, which has the first's."""
    found = []
    for first in (0, ELEMENTS - 64, ELEMENTS):
        words = np.zeros(64, np.uint32)
        fill_words(words, first, 64, 1, 2, 3, 4, 5)
        found.append(words)
    assert not np.array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize(("counted", "positions"), [(True, 2**26), (True, 2**16), (False, 2**25)])
def test_what_an_update_asks_of_its_words(counted: bool, positions: int) -> None:
    """One sample of many positions, whose memory nobody has: refused before it is asked for."""
    model = "constant-step" if counted else "soft-bounds"
    plane: Plane = make_plane(make_device(model, {}), Tiling((0, 3), (0, 20)))
    assert plane.device.counted is counted
    check_pulses("c", plane, 2**15, 2**15, 10)
    most = CHUNKS * counted_chunk(plane, 2**26, 10) if counted else ELEMENTS // 200
    if positions * 3 <= WORD and positions <= most:
        check_pulses("c", plane, positions, positions, 10)
    with pytest.raises(RpuccError, match="random numbers would repeat"):
        check_pulses("c", plane, most + 1, most + 1, 10)
    if counted:  # of cells, a chunk's number counts from its position
        with pytest.raises(RpuccError, match="counted together: 65,537"):
            check_pulses("c", plane, 1, 2**16, 10, before=2**16)


def test_tiles_of_an_array_by_itself() -> None:
    cuts = {"row_cuts": range(4097), "col_cuts": range(4098)}
    with pytest.raises(ArgumentError, match="16,781,312 tiles, 1 times; random numbers would"):
        rpucc.Array("soft-bounds", 4096, 4097, **cuts)


def test_a_measurement() -> None:
    made = machine()
    measure(made.arrays, made.program.target, MOST_DRAWS // 2, 200)
    with pytest.raises(RpuccError, match=SAMPLES):
        measure(made.arrays, made.program.target, MOST_DRAWS - 199, 200)
