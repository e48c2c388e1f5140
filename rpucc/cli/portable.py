"""Whether a command is portable: decided from its words, before its module and NumPy are loaded.

By `--portable`, or by what it goes on from: a run that is portable stays so. Not for what portable
means: that is rpucc.portable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rpucc import portable

FLAG = "--portable"
GOING_ON = ("train", "eval", "run", "export", "report", "ablate")
"""Commands that load a run which is named on their command line."""
NOT_LOADED = ("-o", "--output", "--csv", "--runs")
"""Options whose value is no run that is gone on from."""


def decide(command: str, words: Sequence[str]) -> None:
    """Make this process portable where its command line says so; `words` follow the command.

    Raises RpuccError where --portable is given on a machine that cannot.
    """
    words = words[: words.index("--")] if "--" in words else words
    if FLAG in words:
        portable.ask()
    elif command in GOING_ON and not portable.asked() and not portable.refused():
        found = any(_is_portable(each) for each in _named(words))
        if found and portable.fit():
            portable.ask()


def _named(words: Sequence[str]) -> Iterator[Path]:
    """Yield what may be run folders, or checkpoints in them; with --resume -o names one, too."""
    skipped = () if "--resume" in words else NOT_LOADED
    for before, word in zip(["", *words], words, strict=False):
        option, _, value = word.partition("=")
        if before not in skipped and option not in skipped:
            yield Path(value if value and option.startswith("--") else word)


def _is_portable(path: Path) -> bool:
    """Whether the run.json of a folder, or beside a checkpoint, says that its training is."""
    import json

    from rpucc import limits
    from rpucc.files import read_whole

    try:
        folder = path if path.is_dir() else path.parent if path.is_file() else None
        if folder is None:
            return False
        found = json.loads(read_whole(folder / "run.json", limits.JSON_BYTES))
        return found["machine"]["portable"] is True
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False
