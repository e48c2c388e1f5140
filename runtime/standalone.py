"""An array that is used by itself, without a program: what `rpucc.Array` is.

Checks what a caller hands in, and numbers the calls, so that each draws anew. What happens in a
read, an update or a pulse is that of a program's (`cycles.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpucc import arguments, portable
from rpucc.errors import ArgumentError, TargetError
from rpucc.layers import MOST_TILES
from rpucc.runtime.array import Array
from rpucc.runtime.array_arguments import (
    Table,
    cuts_of,
    device_table,
    is_built_in,
    numbers,
    table_of,
    vectors,
    whole_numbers,
)
from rpucc.runtime.cells.make import make_cells
from rpucc.runtime.counters import MAX_SEED, check_draws
from rpucc.runtime.cycles import Cycle, ReadCycle, UpdateCycle
from rpucc.runtime.devices import Device, device_of
from rpucc.runtime.kernels.philox import seed_key
from rpucc.runtime.layout import Layout
from rpucc.target.target import Target
from rpucc.target.values import NO_MASK
from rpucc.trust import Trust

if TYPE_CHECKING:
    from rpucc.target.target import LayerPolicy

FloatArray = NDArray[np.float32]
C = TypeVar("C", bound=Cycle)

NAME = "array"
MOST_LINES = 65536
KEPT_CYCLES = 8
"""Calls of so many different shapes keep their buffers."""


class StandaloneArray(Array):
    """A matrix on simulated devices, by itself: programmed, read and pulsed without a network.

    device: a model's name, a `rpucc.Device`, or the dictionary of a [device] table.
    rows, columns: R outputs and C inputs, 1 to 65,536 each.
    seed: 0 to 2^64 - 1; fixes the devices and all noise: the same calls give the same bits.
    row_cuts, col_cuts: the borders of the tiles that the matrix lies on, [0, .., R] and [0, .., C];
        one tile unless given.
    periphery, management, update, cell, variations, calibration: tables of a target, as
        dictionaries (docs/policies.md): what a read and an update are like, what a weight is made
        of. Without them reads are exact, updates pulse trains of 10 slots, a weight is one device.

    Weights have no unit, they start at 0. Raises ArgumentError; TargetError for what tables say.

    >>> import rpucc
    >>> array = rpucc.Array({"model": "constant-step", "dw_min_std": 0}, 2, 3, seed=1)
    >>> array.program([[0.1, 0.2, 0.3], [0, -0.1, -0.2]])
    >>> array.read([1, 0, -1]).round(3)
    array([-0.2,  0.2], dtype=float32)
    >>> array.pulse([[5, 0, 0], [0, 0, -5]])
    >>> array.weights[0, 0] > 0.1
    np.True_
    """

    def __init__(
        self,
        device: str | Device | Mapping[str, Any],
        rows: int,
        columns: int,
        seed: int = 0,
        *,
        row_cuts: Sequence[int] | None = None,
        col_cuts: Sequence[int] | None = None,
        periphery: Table = None,
        management: Table = None,
        update: Table = None,
        cell: Table = None,
        variations: Table = None,
        calibration: Table = None,
    ) -> None:
        portable.check()
        shape = [arguments.integer(name, value, 1, MOST_LINES)
                 for name, value in (("rows", rows), ("columns", columns))]  # fmt: skip
        self.seed = arguments.integer("seed", seed, 0, MAX_SEED)
        row_borders = cuts_of("row_cuts", row_cuts, shape[0])
        col_borders = cuts_of("col_cuts", col_cuts, shape[1])
        tables = {"periphery": periphery, "management": management, "update": update,
                  "cell": cell, "variations": variations, "calibration": calibration}  # fmt: skip
        self._tables = {name: table_of(name, table) for name, table in tables.items()}
        self._tables["device"] = device_table(device)
        policy = self.policy = self._read_tables({})
        if policy.update.mask != NO_MASK:
            raise ArgumentError(
                f"update.mask: found {policy.update.mask!r}; allowed: none, an array by itself "
                "has no model whose weights it could fix"
            )
        layout = Layout.of(row_borders, col_borders, seed_key(self.seed))
        planes = len(policy.cell.settings.arrays(training=True))
        if planes * layout.tiles.size > MOST_TILES:
            raise ArgumentError(
                f"row_cuts, col_cuts: {layout.tiles.size:,} tiles, {planes} times; random numbers "
                f"would repeat, {MOST_TILES:,} have numbers of their own"
            )
        made = make_cells(
            NAME,
            layout,
            policy.cell.settings,
            _devices(policy, device),
            np.zeros(shape, np.float32),
            pulsed=policy.update.pulsed,
            calibration=policy.calibration,
            training=True,
        )
        super().__init__(
            NAME, made.layout, made.planes, made.gains, made.buffers, made.sides,
            policy.cell.settings.turned,
        )  # fmt: skip
        self._samples = 0
        self._cycles: dict[tuple[Any, ...], Any] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """(R, C)."""
        return self.layout.shape

    def program(self, W: ArrayLike) -> None:
        """Make the weights W [R, C], as near as each device's own bounds allow; `clipped` counts.

        Raises ArgumentError unless W is R by C finite numbers.
        """
        super().program(numbers("W", W, [self.shape]))

    def read(self, x: ArrayLike, *, transpose: bool = False, periphery: Table = None) -> FloatArray:
        """Return what the array puts out: y = W x + noise, or y = Wᵀ x (the backward cycle).

        x: [C], or [N, C] for N reads in turn, or [N, P, C]: samples of P positions; R instead of C
            when transposed.
        transpose: feed the rows, and see the columns.
        periphery: keys of [periphery] for this read, in place of the array's own.

        The result is float32 with R (or C) in place of the last axis. Every read has noise of its
        own. Raises ArgumentError for other inputs.
        """
        transpose = arguments.instance("read(transpose)", transpose, bool, "True or False")
        inputs = vectors("x", x, self.shape[0 if transpose else 1])
        policy, own = self.policy, table_of("periphery", periphery)
        if own:
            policy = self._read_tables({"periphery": {**self._tables["periphery"], **own}})
        key = ("read", inputs.shape, transpose, *sorted(own.items()))
        made = self._cycle(key, lambda: ReadCycle(self, policy, inputs.shape, transpose=transpose))
        made.x[...] = inputs
        made.run(self._next(len(inputs)))
        y = made.y.copy()
        return y[0] if np.ndim(x) == 1 else y

    def update(self, x: ArrayLike, d: ArrayLike, lr: float) -> int:
        """Change the weights by -lr d xᵀ, as the update policy and the devices have it.

        x: [C], or [N, C] or [N, P, C] for one update after the other; d: the same with R.
        lr: the learning rate, above 0.

        Returns the number of pulses; 0 where updates are exact. Raises ArgumentError for other
        arguments.
        """
        inputs, errors = vectors("x", x, self.shape[1]), vectors("d", d, self.shape[0])
        if inputs.shape[:-1] != errors.shape[:-1]:
            raise ArgumentError(
                f"update(x, d): found x {list(np.shape(x))} and d {list(np.shape(d))}; "
                "allowed: as many vectors of the one as of the other"
            )
        rate = arguments.positive("lr", lr) * self.policy.update.lr_scale
        made = self._cycle(
            ("update", inputs.shape), lambda: UpdateCycle(self, self.policy, inputs.shape)
        )
        if rate != 0:
            for reach in made.reaches:
                reach.check(rate)
        made.x[...], made.d[...], made.lr[...] = inputs, errors, rate
        made.tallies.reset()
        made.run(self._next(len(inputs)))
        return made.tallies.pulses

    def pulse(self, counts: ArrayLike, *, plane: str | None = None) -> None:
        """Give every device exactly so many pulses: counts [R, C], whole numbers, negative is down.

        plane: which of `planes`; by default the first, which weights are programmed to.

        Raises ArgumentError for other counts, and where updates are exact and have no devices.
        """
        if plane is not None and plane not in self.planes:
            raise arguments.wrong("pulse(plane)", plane, " or ".join(map(repr, self.planes)))
        pulsed = self.main if plane is None else self.planes[plane]
        if not pulsed.pulsed:
            raise ArgumentError(
                "pulse(counts): the array has no devices, as its updates are exact; leave out "
                'update={"pulsed": False}'
            )
        pulsed.pulse(whole_numbers("counts", counts, self.shape), self._next(1))
        self.refresh()

    def rest(self) -> None:
        """Let a step pass for the devices: they diffuse and decay, as after a training's updates.

        Raises ArgumentError where none of them does.
        """
        if not self.rests:
            raise ArgumentError(
                "rest(): no device of the array diffuses or decays; set diffusion or lifetime "
                "among the keys of its device"
            )
        self.resting()(0, self.shape[0], self._next(1))
        self.refresh()

    def drift(self, seconds: float) -> None:
        """Let so many seconds pass, above 0: devices drift from where they were last written.

        Raises ArgumentError for other times, and where no device drifts.
        """
        if not self.pass_time(arguments.positive("drift(seconds)", seconds)):
            raise ArgumentError(
                "drift(): no device of the array drifts; set nu among the keys of its device"
            )

    def __repr__(self) -> str:
        model = self.policy.cell.model
        cells = "" if model == "plain" else f"{model} cells of "
        devices = f"{self.main.device.name} devices" if self.main.pulsed else "exact weights"
        return f"<Array [{self.shape[0]}, {self.shape[1]}] of {cells}{devices}, seed {self.seed}>"

    def _next(self, samples: int) -> int:
        """The number of the first of so many samples, which name the draws of a call."""
        first = self._samples
        check_draws(first + samples, "array: ")
        self._samples += samples
        return first

    def _cycle(self, key: tuple[Any, ...], make: Callable[[], C]) -> C:
        """The cycle of this key, made where there is none; those used first are dropped."""
        if key not in self._cycles:
            while len(self._cycles) >= KEPT_CYCLES:
                del self._cycles[next(iter(self._cycles))]
            self._cycles[key] = make()
        found: C = self._cycles[key]
        return found

    def _read_tables(self, changed: Mapping[str, Any]) -> LayerPolicy:
        """What the tables say, checked as those of a target are."""
        kind = {"name": NAME, "rows": MOST_LINES, "cols": MOST_LINES, "t_read": 1.0}
        tables = {name: table for name, table in {**self._tables, **changed}.items() if table}
        try:
            return Target.load({"name": NAME, "array": [kind], **tables}).for_layer(NAME)
        except TargetError as error:  # there is no file or dictionary to name
            raise TargetError(*(line.partition(": ")[2] for line in error.args)) from None


def _devices(policy: LayerPolicy, given: object) -> Callable[[str], Device]:
    """What gives the devices of a plane by its name."""
    if not isinstance(given, Device) or is_built_in(given):
        return lambda plane: device_of(policy, Trust(every=True), plane)
    if policy.cell.model_fields_set - {"model", "parameters"}:
        raise ArgumentError(
            "cell: found devices of single planes; allowed beside a Device of your own: none, give "
            'it as {"model": "my_module:MyDevice"}'
        )
    device = given.without(policy.variations.remove)
    return lambda plane: device
