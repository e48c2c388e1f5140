"""Batches that come one after the other: from generators, objects and PyTorch's DataLoader."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rpucc
from rpucc.errors import ArgumentError, DataError
from rpucc.runtime.data import Dataset, load_dataset, streams
from rpucc.runtime.metrics import Progress

from .small import tiny_cnn

N, BATCH = 42, 4
ORDER = "the samples come in the order of their loader"


def data(n: int = N) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    x = rng.random((n, 1, 8, 8), np.float32) * 0.5
    x[np.arange(n), 0, y] += 0.5
    return x, y


X, Y = data()


def batches(x: np.ndarray = X, y: np.ndarray = Y, size: int = BATCH) -> Iterator[Any]:
    for first in range(0, len(x), size):
        yield x[first : first + size], y[first : first + size]


class Loader:
    """What a user writes: it starts anew with every `for`."""

    def __init__(self, size: int = BATCH, stop: int = 0) -> None:
        self.size, self.stop, self.begun = size, stop, 0

    def __iter__(self) -> Iterator[Any]:
        self.begun += 1
        for number, batch in enumerate(batches(size=self.size), 1):
            if self.begun == self.stop and number == 5:
                raise KeyboardInterrupt
            yield batch


def trainer(**options: Any) -> rpucc.Trainer:
    program = rpucc.compile(tiny_cnn(), "rpu-managed", verify=False, **options)
    return rpucc.Trainer(rpucc.Machine(program, seed=3))


def weights(found: rpucc.Trainer) -> list[np.ndarray]:
    return list(found.machine.state().values())


def same(one: rpucc.Trainer, other: rpucc.Trainer) -> bool:
    pairs = zip(weights(one), weights(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_a_stream_in_the_order_of_arrays_gives_their_bits() -> None:
    """The order that fit draws for arrays, given as a stream, trains to the same weights."""
    arrays = trainer()
    metrics = arrays.fit((X, Y, X[:9], Y[:9]), epochs=2, batch_size=BATCH, lr=0.1)
    key = arrays.machine.key

    class AsFitDraws:
        epoch = 0

        def __iter__(self) -> Iterator[Any]:
            from rpucc.runtime.kernels.philox import shuffle

            order = np.arange(N)
            shuffle(order, self.epoch, *key)
            self.epoch += 1
            return batches(X[order], Y[order])

    streamed = trainer()
    found = streamed.fit((AsFitDraws(), (X[:9], Y[:9])), epochs=2, lr=0.1)
    assert same(arrays, streamed)
    for one, other in zip(metrics, found, strict=True):
        assert one.reproducible() == other.reproducible()
    assert found[-1].samples == N


@pytest.mark.parametrize("source", [Loader(), batches], ids=["object", "function"])
def test_what_starts_anew_is_gone_through_once_an_epoch(source: Any) -> None:
    one = trainer()
    seen: list[int] = []

    class Bar:
        def on_progress(self, progress: Progress) -> None:
            seen.append(progress.samples)

    history = one.fit((source, batches), epochs=3, lr=0.1, callbacks=[Bar()])
    assert [epoch.samples for epoch in history] == [N] * 3
    assert one.machine.counters.sample == 3 * N
    assert set(seen) <= {0, N}
    if isinstance(source, Loader):
        assert source.begun == 3


def test_a_generator_is_good_for_one_epoch() -> None:
    one = trainer()
    one.fit((batches(), batches()), epochs=1, lr=0.1)
    with pytest.raises(DataError, match="the training part can be gone through only once; give"):
        one.fit((batches(), batches()), epochs=3, lr=0.1)
    assert one.fit((batches(), batches()), epochs=2, lr=0.1)[-1].epoch == 2
    used = batches()
    list(used)
    with pytest.raises(DataError, match="the training part: there is no batch in it"):
        one.fit((used, batches()), epochs=3, lr=0.1)


def test_a_training_that_was_stopped_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    whole = trainer()
    with pytest.warns(rpucc.DataWarning, match=ORDER):
        whole.fit((Loader(), batches), epochs=3, lr=0.1, checkpoint=tmp_path / "w.safetensors")
    stopped, place = trainer(), tmp_path / "c.safetensors"
    with pytest.raises(KeyboardInterrupt), pytest.warns(rpucc.DataWarning, match=ORDER):
        stopped.fit((Loader(stop=2), batches), epochs=3, lr=0.1, checkpoint=place)
    machine = rpucc.load_checkpoint(place, stopped.machine.program)
    assert (machine.counters.epoch, machine.counters.done) == (1, 16)
    again = rpucc.Trainer(machine)
    with pytest.warns(rpucc.DataWarning, match=ORDER):
        again.fit((Loader(), batches), epochs=3, lr=0.1)
    assert same(whole, again)
    assert machine.history == whole.machine.history

    other = rpucc.Trainer(rpucc.load_checkpoint(place, stopped.machine.program))
    with (
        pytest.warns(rpucc.DataWarning, match=ORDER),
        pytest.raises(DataError, match="stopped after 16 samples of an epoch, but batch 4 ends af"),
    ):
        other.fit((Loader(size=5), batches), epochs=3, lr=0.1)
    short = lambda: batches(X[:8], Y[:8])  # noqa: E731
    with (
        pytest.warns(rpucc.DataWarning, match=ORDER),
        pytest.raises(DataError, match="16 samples of an epoch, but there are 8; give the batches"),
    ):
        other.fit((short, batches), epochs=3, lr=0.1)


def test_every_batch_is_checked() -> None:
    def broken(change: Any, at: int = 3) -> Any:
        def make() -> Iterator[Any]:
            for number, (x, y) in enumerate(batches(), 1):
                yield change(x.copy(), y.copy()) if number == at else (x, y)

        return make

    def nan(x: Any, y: Any) -> Any:
        x[1, 0, 2, 3] = np.nan
        return x, y

    cases = [
        (nan, r"the training part: batch 3\[1, 0, 2, 3\] is NaN"),
        (lambda x, y: (x * 3, y), "beyond the program's input range 0 to 1"),
        (lambda x, y: (x[:, :, :5], y), "batch 3: x has .* shape|batch 3 has samples of shape"),
        (lambda x, y: (x, y + 5), "batch 3.*label .*, but the model has 3 outputs"),
        (lambda x, y: (x[:-1], y), "batch 3: 3 samples in x but 4 labels"),
        (lambda x, y: x, "batch 3 is ndarray; each batch needs"),
        (lambda x, y: (x, y, y), r"batch 3 is 3 parts; each batch needs \(x, y\)"),
        (lambda x, y: (x.astype(object), y), "batch 3: x has type object"),
    ]
    for change, text in cases:
        with pytest.raises(DataError, match=text):
            trainer().fit((broken(change), batches), epochs=1, lr=0.1)
    with pytest.raises(DataError, match="batch 1: 3 samples in x but 4 labels"):
        trainer().fit((broken(lambda x, y: (x[:-1], y), 1), batches), epochs=1, lr=0.1)


def test_the_test_part_and_what_is_asked_of_it() -> None:
    one = trainer()
    with pytest.raises(DataError, match=r"beside batches to train on, a test part is needed"):
        one.fit((batches, X), epochs=1)
    with pytest.raises(ArgumentError, match="batch_size: found 8, but the data come in batches of"):
        one.fit((batches, batches), epochs=1, batch_size=8)
    one.fit((batches, batches), epochs=1, batch_size=BATCH, lr=0.1)
    assert one.evaluate(batches()).error == one.evaluate(X, Y).error
    np.testing.assert_array_equal(one.predict(batches), one.predict(X))


def test_batches_of_channels_last_bytes_and_one_hot_labels() -> None:
    images = (X.transpose(0, 2, 3, 1) * 255).astype(np.uint8)
    one_hot = np.eye(3, dtype=np.float32)[Y]
    one, other = trainer(), trainer()
    first = (lambda: batches(images, one_hot), (images[:5], one_hot[:5]))
    one.fit(first, epochs=1, lr=0.1)
    pixels = (X * 255).astype(np.uint8)
    other.fit((lambda: batches(pixels), (pixels[:5], Y[:5])), epochs=1, lr=0.1)
    assert same(one, other)


def test_load_dataset_reads_streams_into_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    both = load_dataset((batches, Loader()))
    assert type(both) is Dataset
    np.testing.assert_array_equal(both.x_train, X)
    np.testing.assert_array_equal(both.y_test, Y)
    assert len(load_dataset(batches()).x_test) == N // 10
    mixed = load_dataset((batches, (X[:3], Y[:3])))
    assert len(mixed.x_test) == 3
    monkeypatch.setattr(streams, "MAX_BYTES", 3000)
    with pytest.raises(
        DataError, match=r"the test part: its first \d batches have [\d,]+ bytes; th"
    ):
        load_dataset(((X, Y), batches))
    with pytest.raises(DataError, match="the training part: there is no batch in it"):
        load_dataset((iter(()), (X, Y)))


def test_batches_that_are_not_alike_are_no_test_part() -> None:
    def odd() -> Iterator[Any]:
        yield X[:2], Y[:2]
        yield X[:2, :, 1:], Y[:2]

    with pytest.raises(DataError, match="the test part: its batches are not alike"):
        trainer().fit((batches, odd), epochs=1)


def test_a_stream_of_several_inputs() -> None:
    rng = np.random.default_rng(0)
    a, y = rng.random((20, 3), np.float32), rng.integers(0, 2, 20)

    def pairs() -> Iterator[Any]:
        for first in range(0, 20, 5):
            part = a[first : first + 5]
            yield {"left": part, "right": part}, y[first : first + 5]

    import onnx

    network = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 21]>
        pairs (float[N,3] left, float[N,3] right) => (float[N,2] y)
        <float[3,2] W = {0.1, -0.2, 0.3, 0.4, 0.1, 0.2}>
        { s = Sub (left, right) t = Add (s, left) y = MatMul (t, W) }
    """)
    one = rpucc.Trainer(rpucc.Machine(rpucc.compile(network, "ideal", verify=False)))
    other = rpucc.Trainer(rpucc.Machine(rpucc.compile(network, "ideal", verify=False)))
    assert one.fit((pairs, pairs), epochs=2, lr=0.1)[-1].samples == 20
    whole = load_dataset((pairs, pairs))
    other.fit(whole, epochs=1, batch_size=5, lr=0.1)
    assert one.evaluate(whole).samples == 20


# ---------------------------------------------------------------- PyTorch


def test_the_real_dataloader(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from torch.utils.data import DataLoader, TensorDataset

    held = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    train = DataLoader(held, batch_size=BATCH)
    test = DataLoader(held, batch_size=9)
    one, other = trainer(), trainer()
    seen: list[int] = []

    class Bar:
        def on_progress(self, progress: Progress) -> None:
            seen.append(progress.samples)

    # In order: nothing is to be said, although there is a checkpoint.
    place = tmp_path / "c.safetensors"
    found = one.fit((train, test), epochs=2, lr=0.1, callbacks=[Bar()], checkpoint=place)
    assert set(seen) == {N}
    other.fit((batches, batches), epochs=2, lr=0.1)
    assert same(one, other)
    assert found[-1].test_error == one.evaluate(test).error

    shuffled = DataLoader(held, batch_size=BATCH, shuffle=True, drop_last=True)
    with pytest.warns(rpucc.DataWarning, match=ORDER):
        history = trainer().fit((shuffled, test), epochs=2, lr=0.1, checkpoint=place)
    assert history[-1].samples == N - N % BATCH
    assert len(load_dataset((shuffled, test)).x_train) == N - N % BATCH

    with pytest.raises(ArgumentError, match=re.escape("data: found a torch")):
        trainer().fit(held, epochs=1)  # type: ignore[arg-type]  # samples, not batches


def test_the_text_of_a_bar_without_a_known_end() -> None:
    from rpucc.report.text.training import progress_text

    text = progress_text(Progress(1, 3, 1200, 0, 0.5, 1000.0))
    assert text.startswith("1,200  1,000/s  loss 0.5")
    assert "testing" not in text
