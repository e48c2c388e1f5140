"""Damaged files of every kind: never a traceback, a process that dies, 4 GB or 20 seconds.

`corpus/READER/` keeps files that once did one of these. The slow tests make 20,000 more each:
pytest -m slow tests/hostile (about an hour of one core; `python -m tests.hostile.attack` for one).
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from random import Random

import pytest

from rpucc.errors import RpuccError

from .attack import attack
from .readers import READERS

CORPUS = Path(__file__).with_name("corpus")
COUNT = 20_000

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="memory is limited by what only Linux has"
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each reader with what has to lie beside its file."""
    return {name: tmp_path_factory.mktemp(name) for name in READERS}


@pytest.mark.parametrize("name", list(READERS))
def test_what_once_failed(name: str, folders: dict[str, Path]) -> None:
    reader = READERS[name]
    originals = reader.originals(folders[name])
    path = folders[name] / reader.name
    kept = sorted((CORPUS / name).glob("*"))
    for file in kept:
        path.write_bytes(reader.adapt(folders[name], file.read_bytes()))
        problems: tuple[object, ...] = ()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of data whose layout can be meant in two ways
                reader.read(path)
        except RpuccError as error:
            problems = error.args
        for line in map(str, problems):
            assert "\n" not in line, file
            assert len(line) < 3000, file
    path.write_bytes(originals[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader.read(path)


@pytest.mark.parametrize("name", list(READERS))
def test_the_same_seed_makes_the_same_damage(name: str, folders: dict[str, Path]) -> None:
    reader = READERS[name]
    original = reader.originals(folders[name])[0]
    damaged = [reader.mutation(Random(i), original) for i in range(40)]
    assert damaged == [reader.mutation(Random(i), original) for i in range(40)]
    assert sum(each != original for each in damaged) > 30


@pytest.mark.slow
@pytest.mark.parametrize("name", list(READERS))
def test_many(name: str, tmp_path: Path) -> None:
    result = attack(name, COUNT, 0, tmp_path)
    assert not result.failures, "\n".join(result.failures[:20])
    assert result.counts.total() == COUNT
    assert result.counts["refused"] > COUNT // 3
    assert result.counts["taken"] > COUNT // 100, "damage that nobody notices is part of it"
