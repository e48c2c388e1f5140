"""Damaged files of every kind: never a traceback, a process that dies, 4 GB or 20 seconds.

`corpus/READER/` keeps files that once did one of these; a share of each reader's damage is tried
every time. The slow tests make 20,000 more each: pytest -m slow tests/hostile (hours of one core;
scripts/attack.py prints the table).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

import pytest

from .attack import attack
from .readers import READERS
from .worker import damaged, outcome

CORPUS = Path(__file__).with_name("corpus")
COUNT = 20_000
SEED = 7
"""Of the share; the slow tests have 0."""
LONGEST = 300
"""Seconds: on the way kernels are compiled, which is no reader's fault."""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="memory is limited by what only Linux has"
)
Made = Callable[[str], tuple[Path, list[bytes]]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The place of a reader's file, with what has to lie beside it, and the good ones."""

    @cache
    def make(name: str) -> tuple[Path, list[bytes]]:
        folder = tmp_path_factory.mktemp(name.strip("-"))
        originals = READERS[name].originals(folder)
        return folder / READERS[name].name, originals

    return make


def tried(name: str, path: Path, data: bytes) -> tuple[str, str]:
    """Let a reader have a file; how it took it."""
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of data whose layout can be meant in two ways
        return outcome(READERS[name], path, LONGEST)


@pytest.mark.parametrize("name", list(READERS))
def test_what_once_failed(name: str, made: Made) -> None:
    path, originals = made(name)
    for file in sorted((CORPUS / name.strip("-")).glob("*")):
        kind, text = tried(name, path, READERS[name].adapt(path.parent, file.read_bytes()))
        assert kind in ("taken", "refused"), f"{file}: {kind}\n{text}"
    assert tried(name, path, originals[0])[0] == "taken"


@pytest.mark.parametrize("name", list(READERS))
def test_a_share_of_the_attack(name: str, made: Made) -> None:
    path, originals = made(name)
    for case in range(READERS[name].share):
        data = damaged(name, READERS[name], SEED, case, originals)
        kind, text = tried(name, path, data)
        assert kind in ("taken", "refused"), (
            f"{kind}; again: python scripts/attack.py {name} --seed {SEED} --case {case}\n{text}"
        )


@pytest.mark.parametrize("name", list(READERS))
def test_the_same_seed_makes_the_same_damage(name: str, made: Made) -> None:
    reader, original = READERS[name], made(name)[1][0]
    first = [reader.mutation(Random(i), original) for i in range(40)]
    assert first == [reader.mutation(Random(i), original) for i in range(40)]
    assert sum(each != original for each in first) > 30


@pytest.mark.slow
@pytest.mark.parametrize("name", list(READERS))
def test_many(name: str, tmp_path: Path) -> None:
    result = attack(name, COUNT, 0, tmp_path)
    assert not result.failures, "\n".join(result.failures[:20])
    assert result.counts.total() == COUNT
    if not READERS[name].lenient:
        assert result.counts["refused"] > COUNT // 3
    assert result.counts["taken"] > COUNT // 100, "damage that nobody notices is part of it"
