"""Whether two runs, or a run and this process, give the same bits of the same program and seed.

Reads what run.json says of machine and versions (about.py), and nobody has checked what most of its
keys hold; what an earlier version did not write is not known, and not to know is no difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rpucc.runs.folder import RunFolder

Circumstances = Mapping[str, Any]
"""What run.json says; of it "machine" and "versions"."""

COMPUTING = ("rpucc", "numba", "llvmlite", "numpy", "scipy", "onnxruntime")
"""Packages whose other version may round otherwise; Python's own does so from 3.x to 3.y."""
INSTRUCTIONS = (
    ("compiled_for", "kernels for"),
    ("instructions", "instructions"),
    ("blas", "BLAS for"),
    ("numpy", "NumPy with"),
)
"""What the processor decides where nothing is held, by its key of "machine"."""
SHOWN = 40


class Other(NamedTuple):
    """Something that can change a bit, and is not the same on both sides."""

    what: str
    first: str
    second: str


def differences(first: Circumstances, second: Circumstances) -> list[Other]:
    """Return what can change a bit; nothing that either does not know.

    Of two that are portable the processors do not matter.
    """
    one, other = _object(first, "machine"), _object(second, "machine")
    held = [is_portable(each) for each in (first, second)]
    found: list[Other] = []
    if held[0] != held[1]:
        found.append(Other("", *("portable" if each else "not portable" for each in held)))
    elif not all(held):
        found += _instructions(one, other)
    libc = _text(one.get("libc")), _text(other.get("libc"))
    if all(libc) and libc[0] != libc[1]:
        found.append(Other("C library", *libc))
    found += _versions(_object(first, "versions"), _object(second, "versions"))
    return [Other(each.what, _short(each.first), _short(each.second)) for each in found]


def is_portable(about: Circumstances) -> bool:
    """Whether a training that run.json tells of was portable, from its first step to its last."""
    return _object(about, "machine").get("portable") is True


def here() -> Circumstances:
    """What run.json would say of this process."""
    from rpucc.runs.about import machine, versions

    return {"machine": machine(), "versions": versions()}


def elsewhere(run: RunFolder | None) -> str | None:
    """Return a line about a run that was made otherwise than this process computes, else None."""
    if run is None or not (there := run.made_with()):
        return None
    found = differences(there, here())
    if not found:
        return None
    return (
        f"{run.path}: trained with {_there_and_here(found)}: the last bits of what follows may be "
        "others"
    )


def made_elsewhere(abouts: Sequence[Circumstances]) -> str | None:
    """Return a line about the runs that were made otherwise than this process computes, if any."""
    found = [each for each in (differences(about, here()) for about in abouts if about) if each]
    if not found:
        return None
    were = "run was" if len(abouts) == 1 else "runs were"
    return (
        f"{len(found)} of {len(abouts)} {were} trained with {_there_and_here(found[0])}: their "
        "last bits, and what follows from them, may be others than here"
    )


def _there_and_here(found: Sequence[Other]) -> str:
    return "; ".join(f"{each.what} {each.first}, here {each.second}".strip() for each in found)


def apart(names: Sequence[str], abouts: Sequence[Circumstances]) -> str | None:
    """Return a line about runs of which not all would give the same bits, else None."""
    for name, about in zip(names[1:], abouts[1:], strict=True):
        found = differences(abouts[0], about)
        if found:
            texts = (f"{each.what} {each.first} and {each.second}".strip() for each in found)
            return (
                f"{names[0]} and {name} were trained with {'; '.join(texts)}: even of one seed "
                "their last bits, and what follows from them, may differ"
            )
    return None


def _instructions(one: Circumstances, other: Circumstances) -> list[Other]:
    """Return the first thing that the processor has decided otherwise: the others follow it."""
    for key, words in INSTRUCTIONS:
        known = one.get(key), other.get(key)
        if None in known or known[0] == known[1]:
            continue
        texts = [_text(each) for each in known]
        if key == "instructions":  # many; of processors that LLVM calls the same
            first, second = (set(text.split()) for text in texts)
            texts = [" ".join(sorted(first - second)), " ".join(sorted(second - first))]
        return [Other(words, *texts)]
    return []


def _versions(one: Circumstances, other: Circumstances) -> list[Other]:
    found = []
    for name in ("python", *COMPUTING):
        known = [_text(each.get(name)) for each in (one, other)]
        if name == "python":
            known = [".".join(each.split(".")[:2]) for each in known]
        if all(known) and known[0] != known[1]:
            found.append(Other(name, *known))
    return found


def _object(about: Circumstances, key: str) -> Circumstances:
    found = about.get(key)
    return found if isinstance(found, Mapping) else {}


def _text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return value if isinstance(value, str) else ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return (line if len(line) <= SHOWN else line[: SHOWN - 3] + "...") or "none"
