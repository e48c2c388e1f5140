"""What a device model is: parameters, how devices are fabricated, and one pulse.

A model is a subclass of `Device` in a file of its own. Its `step` is a plain function that the
simulator compiles into the update kernel, so it uses only arithmetic, comparisons, min, max and
`math`. A user's own module works the same way (`[device] model = "my_module:MyDevice"`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from rpucc.errors import TargetError, one_line
from rpucc.runtime.devices.rest import KEYS, RestKeys
from rpucc.target.values import LONGEST_LIST, ParameterValue

FloatArray = NDArray[np.float32]


class Device:
    """One crosspoint model with its preset values.

    Subclasses set `name`, `summary`, `defaults` (every parameter with its default), `ranges`
    (lowest and highest legal value of each number), `choices` (the names that a parameter may be),
    `per_device`, `constants` and `packed`, and define `fabricate`, `constant_values` and `step`.
    A parameter is what its default is: a number, true or false, a name or a tuple of numbers.
    """

    name: ClassVar[str]
    summary: ClassVar[str] = ""
    source: ClassVar[str] = ""
    defaults: ClassVar[Mapping[str, ParameterValue]]
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    meanings: ClassVar[Mapping[str, str]] = {}
    variations: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Kind of variation (`rpucc/target/sections.py`: VariationPolicy) -> the parameters that are
    0 without it; an empty tuple where the model has none of the kind."""

    rest_defaults: ClassVar[Mapping[str, float]] = {}
    """Of the keys that all models take (`rpucc.runtime.devices.rest`), those that are not off."""

    per_device: ClassVar[tuple[str, ...]] = ()
    constants: ClassVar[tuple[str, ...]] = ()
    tabulated: ClassVar[bool] = False
    """Whether `step` gets an array after its constants: what `table_values` gives, float32."""

    packed: ClassVar[bool] = False
    """Whether a device's parameters are kept in 16 bits each (65536 equal steps between the tile's
    smallest and largest value, so for values of one scale) and not as float32."""

    counted: bool = False
    """Whether pulses may be counted and applied at once: constant steps between two bounds, with
    the parameters of `ConstantStep` (see `kernels/coincidences/update.py`). Of a model; a device of
    which it has to be known whether it was pulsed is pulsed one by one."""

    def __init_subclass__(cls) -> None:
        """Refuse a model that lacks what every model needs, when its class is made."""
        if "step" in vars(cls) and "counted" not in vars(cls):
            cls.counted = False  # what holds for the parent's step need not hold for this one
        for key in ("name", "defaults"):
            if not hasattr(cls, key):
                raise TargetError(f"device class '{cls.__name__}': it must set `{key}`")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", cls.name):
            raise TargetError(
                f"device class '{cls.__name__}': name '{cls.name}' must be letters, digits, - and _"
            )

    def __new__(cls, **parameters: ParameterValue) -> Self:
        """Make one of the form of the class that these parameters need."""
        return super().__new__(cls.form(parameters))

    @classmethod
    def form(cls, parameters: Mapping[str, ParameterValue]) -> type[Self]:
        """The class of a device with these parameters: this one, or a subclass of it.

        A model of which some parameters need another `step`, or more kept of each device, has one
        more class for them, of the same name and the same parameters.
        """
        return cls

    def __init__(self, **parameters: ParameterValue) -> None:
        problems, given = [], {}
        for key, value in parameters.items():
            if key not in self.defaults and key not in KEYS:
                known = ", ".join(self.defaults) or "none"
                problems.append(f"device.{key}: device '{self.name}' has no such key ({known})")
                continue
            allowed, given[key] = self._allowed(key), self._read(key, value)
            if given[key] is None:
                problems.append(
                    f"device.{key} = {_shown(value)}: device '{self.name}' takes {allowed}"
                )
        if problems:
            raise TargetError(*problems)
        self.parameters: dict[str, Any] = {**self.rest_defaults, **self.defaults, **given}
        self.rest = RestKeys.of(self.parameters, self.defaults)
        if self.rest.marks:
            self.counted = False

    def _default(self, key: str) -> ParameterValue:
        return self.defaults[key] if key in self.defaults else KEYS[key][0]

    def _range(self, key: str) -> tuple[float, float]:
        """The lowest and highest value of a number."""
        if key in self.defaults:
            return self.ranges.get(key, (-np.inf, np.inf))
        return KEYS[key][1:3]

    def _allowed(self, key: str) -> str:
        """Say what a parameter may be."""
        default = self._default(key)
        if isinstance(default, bool):
            return "true or false"
        if isinstance(default, str):
            return " or ".join(f'"{name}"' for name in self.choices[key])
        low, high = self._range(key)
        span = f"{low:g} to {high:g}"
        if isinstance(default, tuple):
            return f"a list of 1 to {LONGEST_LIST} numbers from {span}"
        return span

    def _read(self, key: str, value: Any) -> Any:
        """Return the value of a parameter, None where it may not be that."""
        default = self._default(key)
        if isinstance(default, bool):
            return bool(value) if isinstance(value, bool | np.bool_) else None
        if isinstance(default, str):
            return value if isinstance(value, str) and value in self.choices[key] else None
        low, high = self._range(key)
        if not isinstance(default, tuple):
            return value if _is_within(value, low, high) else None
        fits = isinstance(value, list | tuple) and 0 < len(value) <= LONGEST_LIST
        if not fits or not all(_is_within(each, low, high) for each in value):
            return None
        return tuple(float(each) for each in value)

    def without(self, kinds: Iterable[str]) -> Self:
        """The device without these kinds of variation; its draws stay as they are.

        Raises TargetError for a kind of which the model says nothing.
        """
        gone: dict[str, ParameterValue] = {}
        for kind in kinds:
            if kind not in self.variations:
                raise TargetError(
                    f"variations.remove: device '{self.name}' does not say which of its "
                    f"parameters are {kind!r}; set variations = {{{kind!r}: (...)}} in its class, "
                    "an empty tuple if it has none of that kind"
                )
            gone |= dict.fromkeys(self.variations[kind], 0.0)
        return type(self)(**{**self.parameters, **gone}) if gone else self

    @property
    def dw_min(self) -> float:
        """The step that a model's parameters are relative to; of most the mean one at weight 0."""
        if "dw_min" not in self.parameters:
            raise TargetError(
                f"device '{self.name}': needs a parameter dw_min among its defaults (or a property "
                "dw_min), the mean weight change of one pulse"
            )
        return float(self.parameters["dw_min"])

    @property
    def granularity(self) -> float:
        """The weight change of one pulse that pulse probabilities and states count by.

        The mean of an up and a down step at weight 0; `dw_min` where a model says nothing else.
        """
        return self.dw_min

    @property
    def write_noise(self) -> float:
        """Standard deviation of what reads see about what pulses move, in units of the weight."""
        noise = self.rest.write_noise_std
        return noise * self.dw_min if noise else 0.0

    @property
    def up_granularity(self) -> float:
        """The same of a device that is only pulsed up: the up step half way from 0 to its bound."""
        high = self.mean_range()[1]
        return self.mean_steps(high / 2)[0] if np.isfinite(high) else self.granularity

    @property
    def cycle_noise(self) -> bool:
        """Whether `step` uses its noise argument; without it no normals are drawn."""
        return True

    def fabricate(self, normal: Callable[[], FloatArray]) -> tuple[FloatArray, ...]:
        """Draw the parameters of a block of devices, in the order of `per_device`.

        Each call of `normal` gives the next standard normals of the block, float32 [rows, C].
        Always make the same calls in the same order: a draw is named by its place in that order.
        Large matrices are made a block of rows at a time (packed ones twice), so a device's values
        may depend on nothing but its own normals.
        """
        normal()
        return ()

    def constant_values(self) -> tuple[float, ...]:
        """The values of `constants`, the same for all devices."""
        return ()

    def table_values(self) -> tuple[float, ...]:
        """The numbers of the table of a model that is `tabulated`."""
        return ()

    def all_constants(self) -> FloatArray:
        """What kernels get of a model: `constant_values`, then its table."""
        return np.asarray((*self.constant_values(), *self.table_values()), np.float32)

    def step_constants(self) -> tuple[Any, ...]:
        """What `step` gets after the parameters of a device."""
        if not self.tabulated:
            return self.constant_values()
        return *self.constant_values(), np.asarray(self.table_values(), np.float32)

    def mean_steps(self, w: float) -> tuple[float, float]:
        """How far an up and a down pulse move the mean device (normals of 0) at a weight."""
        mean = self.fabricate(lambda: np.zeros((1, 1), np.float32))
        own = [float(np.asarray(each).reshape(-1)[0]) for each in mean]
        up, down = (float(self.step(w, d, 0.0, *own, *self.step_constants())) for d in (1.0, -1.0))
        return up - w, w - down

    def weight_range(self, fabricated: tuple[FloatArray, ...]) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest weight each device can hold; ±inf where there is no bound."""
        unbounded = np.float32(np.inf)
        return np.asarray(-unbounded), np.asarray(unbounded)

    def mean_range(self, *, zero_shifted: bool = False) -> tuple[float, float]:
        """Lowest and highest weight of the mean device: one with normals of 0; ±inf unbounded.

        zero_shifted: as weights count from its symmetry point.
        """
        mean = self.fabricate(lambda: np.zeros((1, 1), np.float32))
        point = self.symmetry_point(mean) if zero_shifted else None
        if point is not None:
            mean = self.shifted(mean, point)
        low, high = self.weight_range(mean)
        return float(np.min(low)), float(np.max(high))

    def symmetry_point(self, fabricated: tuple[FloatArray, ...]) -> FloatArray | None:
        """The weight of each device at which an up and a down pulse cancel on average.

        None for a model that has none. Where a model leaves this out, or a subclass has a step of
        its own but not this, the points are searched (`symmetry.py`).
        """
        return None

    def shifted(
        self, fabricated: tuple[FloatArray, ...], reference: FloatArray
    ) -> tuple[FloatArray, ...]:
        """The parameters of the same devices where `reference` is called zero.

        What `step` does to w with these parameters is what it did to w + reference. Needed for
        zero-shifting (`runtime/calibration.py`), as is `symmetry_point`.
        """
        raise NotImplementedError

    @staticmethod
    def step(w: float, direction: float, noise: float) -> float:
        """The weight after one pulse: `direction` is ±1, `noise` a standard normal.

        The arguments that follow are `per_device` and then `constants`, in order, and then the
        table of a model that is `tabulated`.
        """
        raise NotImplementedError


def _is_within(value: object, low: float, high: float) -> bool:
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return is_number and bool(low <= value <= high)  # type: ignore[operator]


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, int | float | np.number) else one_line(repr(value))
