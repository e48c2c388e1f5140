"""Which device modules of a user's own a program may import, and where they are looked for.

A target names a device of a user's own as "module:Class"; running it imports the module, which
runs whatever is in it. A name that the caller gave (a target, `--set`) may be imported, one that
was only read from a program, a run folder or an experiment may not, unless the caller says so. Not
for importing: that is `rpucc.runtime.devices.own`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self


def is_own(model: str) -> bool:
    """Tell whether `device.model` names a user's own class, "module:Class"."""
    return ":" in model


def module_of(model: str) -> str:
    """Return the module that "module:Class" imports."""
    return model.partition(":")[0]


@dataclass(frozen=True)
class Trust:
    """The devices of a user's own that may be imported: by default none."""

    models: frozenset[str] = frozenset()
    """"module:Class" of each that may."""
    every: bool = False
    """Whether any may."""
    folders: tuple[Path, ...] = ()
    """Where modules are looked for before Python's own path."""

    @classmethod
    def given(cls, trust: bool | Collection[str], folders: Iterable[Path] = ()) -> Self:
        """Return what a caller's `trust` stands for: every model, none, or these."""
        if isinstance(trust, bool):
            return cls(every=trust, folders=tuple(folders))
        names = [trust] if isinstance(trust, str) else trust
        return cls(models=frozenset(names), folders=tuple(folders))

    def allows(self, model: str) -> bool:
        """Tell whether a device of this model may be made."""
        return not is_own(model) or self.every or model in self.models

    def also(self, models: Iterable[str]) -> Self:
        """Return the same with these models allowed."""
        return replace(self, models=self.models | set(models))

    def beside(self, folders: Iterable[Path]) -> Self:
        """Return the same with these folders looked at as well, after those that were."""
        return replace(self, folders=tuple(dict.fromkeys([*self.folders, *folders])))


NO_TRUST = Trust()
