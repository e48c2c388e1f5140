"""The `[cell]` table of a target: which cell, its own keys, and the devices of its planes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError, create_model

from rpucc.cells.base import Cell
from rpucc.cells.models import CELLS
from rpucc.target.keys import ModelSection, conflict
from rpucc.target.values import Allowed, choice, is_number, is_printable


def _is_setting(value: object) -> bool:
    word = isinstance(value, str) and is_printable(value) and 0 < len(value) <= 64
    return isinstance(value, bool) or is_number(value) or word


Setting = Annotated[
    float | int | bool | str, Allowed("a number, true or false, or a word", _is_setting)
]

D = TypeVar("D", bound=ModelSection)
T = TypeVar("T", bound=type["PlanelessCellTable"])


class PlanelessCellTable(ModelSection):
    """The table without those of devices."""

    model: Annotated[str, choice(*CELLS)] = "plain"
    """What a weight is made of; `rpucc cells` says what each is."""
    parameters: dict[str, Setting] = Field(default_factory=dict)  # type: ignore[assignment]
    """What the model takes, by its names."""

    @property
    def settings(self) -> Cell:
        """The cell with its settings. Raises pydantic's ValidationError for what it does not take;
        a target holds that there is none."""
        return CELLS[self.model](**self.parameters)

    @property
    def devices(self) -> tuple[Any, ...]:
        """The tables of devices that are set in it."""
        own = (
            getattr(self, key) for key in type(self).model_fields if key in self.model_fields_set
        )
        return tuple(each for each in own if isinstance(each, ModelSection))

    def of_plane(self, plane: str, device: D) -> D:
        """Return the devices of a plane, where the layer's are `device`."""
        own = getattr(self, plane, None)
        return device if own is None else device.overridden(own)

    def check(self, where: str, kinds: tuple[str, ...]) -> None:
        """Refuse keys, values and planes that the model does not have."""
        cell = CELLS[self.model]
        try:
            planes = self.settings.planes
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = str(first["loc"][0])
            if first["type"] == "extra_forbidden":
                keys = ", ".join(cell.model_fields)
                allowed = f"the keys of a {self.model} cell: {keys or 'none'}"
            else:
                allowed = first.get("ctx", {}).get("allowed", first["msg"])
            raise conflict(f"{where}.{key}", first["input"], allowed) from None
        for key in sorted(self.model_fields_set - {"model", "parameters"} - set(planes)):
            allowed = " and ".join(f"[cell.{name}]" for name in planes) or "no table"
            raise conflict(f"{where}.{key}", {}, f"{allowed} in a {self.model} cell")


def with_planes(device: type[ModelSection]) -> Callable[[T], T]:
    """Give a table one of devices for each plane that any cell of several has."""
    several = (each for cell in CELLS.values() if len(each := cell.all_planes()) > 1)
    as_above = device.model_validate({})
    fields: dict[str, Any] = {
        plane: (device, Field(as_above, description=f"The devices of the {plane} array."))
        for plane in dict.fromkeys(plane for planes in several for plane in planes)
    }

    def decorate(table: T) -> T:
        return create_model(  # type: ignore[return-value]
            table.__name__,
            __base__=table,
            __module__=table.__module__,
            __doc__=table.__doc__,
            **fields,
        )

    return decorate
