"""What a cell is: the planes of conductances that a weight is made of, and how they learn.

A cell model is a subclass of `Cell` in a file of its own, with one row in the table of
`rpucc.cells`: its fields are its keys in `[cell]`. Not for how planes are simulated: that is
`rpucc.runtime`, which compiles the cell's `transfer` into its kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rpucc.target.keys import Section


class Cell(Section):
    """What a weight is made of, with the settings of one layer.

    Subclasses set `model`, `summary`, `planes` and, where several planes learn, `op`, `body` and
    `transfer`: each for the class, or as a property where it depends on a key.
    """

    model: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str] = ""
    """The paper that it is from."""

    @property
    def planes(self) -> tuple[str, ...]:
        """Their names.

        The first is the one that initial weights are programmed to, the others start at zero. Each
        takes the devices of `[cell.<name>]` where there are some, else `[device]`.
        """
        raise NotImplementedError

    @property
    def op(self) -> str:
        """The rpu op of its update cycle."""
        return "Update"

    @property
    def body(self) -> str:
        """The op's ideal semantics in standard operators, in braces (`rpucc/op_spec.py`).

        From W, x, d, lr and the state to W2 and each state's next value, whose name ends in 2.
        Empty where the op is Update.
        """
        return ""

    kind: ClassVar[str] = "pulsed"
    """How it learns: what the runtime builds its update by (`runtime/cpu.py`), and what costs are
    counted by."""
    pulsed: ClassVar[str]
    """The plane that the pulses of x and d go to; "" where they go to none."""
    buffers: ClassVar[tuple[str, ...]] = ()
    """Digital memory of the weights' shape, float32 [R, C] each, which starts at zero."""
    column_flags: ClassVar[tuple[str, ...]] = ()
    """Digital memory of 0 or 1 a column of the matrix, float32 [C] each, which starts at zero."""
    flags: ClassVar[tuple[str, ...]] = ()
    """Digital memory of 0 or 1 for all of a matrix, float32 [] each, which starts at zero."""
    means: ClassVar[tuple[str, ...]] = ()
    """Running means of two sizes, those of x and of d, float32 [2] each, which start at zero."""
    steps: ClassVar[Mapping[str, str]] = {}
    """Attributes of its op that say what a pulse of an ideal device does -> the plane that it is
    of. The body makes whole steps of them."""

    slots: ClassVar[str] = ""
    """The attribute of its op that says how many slots a pulse train of x and d has, whether or not
    there are trains; "" where nothing depends on it."""

    sides: ClassVar[tuple[str, str] | None] = None
    """The planes of which one holds weights above 0, the other those below, subtracted."""
    turned: ClassVar[tuple[str, ...]] = ()
    """The planes whose γ has the other sign while FLIPPED is 1, of cells with such a flag."""
    reference: ClassVar[str] = ""
    """The plane that is subtracted and stays as it was programmed; "" where there is none."""

    @property
    def gains(self) -> dict[str, float]:
        """What a read sees: γ of each plane that plays a part in it."""
        return {self.planes[0]: 1.0}

    @property
    def rate(self) -> float:
        """The rate of the pulses of x and d as a multiple of the layer's."""
        return 1.0

    @property
    def shifted(self) -> tuple[str, ...]:
        """The planes that always count from their devices' symmetry points."""
        return ()

    shift_key: ClassVar[str] = ""
    """The key that says whether these are zero-shifted."""

    @property
    def state(self) -> tuple[str, ...]:
        """What an update changes besides the weights that a read sees: further inputs of its op.

        The names of planes and of digital memory, and COUNT.
        """
        return ()

    def state_shape(self, name: str, matrix: tuple[int, int]) -> tuple[int, ...]:
        """The shape of a part of the state of a matrix [R, C]."""
        if name == COUNT or name in self.flags:
            return ()
        if name in self.means:
            return (2,)
        return matrix[1:] if name in self.column_flags else matrix

    @classmethod
    def variants(cls) -> tuple[Cell, ...]:
        """One for each op that cells of the model have, with those keys set that it depends on."""
        return (cls.model_construct(),)

    @classmethod
    def all_planes(cls) -> tuple[str, ...]:
        """The names of all planes that it may have, whatever its keys say."""
        return tuple(dict.fromkeys(plane for variant in cls.variants() for plane in variant.planes))

    def arrays(self, *, training: bool) -> tuple[str, ...]:
        """The planes that have arrays of their own: without training, those that a read sees."""
        return self.planes if training else tuple(self.gains)


CELL = "cell"
"""What `OnNode` names for keys that the update op of their own cell carries."""

FLIPPED = "flipped"
"""The flag that says whether the sign of a matrix is -1."""

COUNT = "count"
"""The state that counts what transfers come after a number of: int64 []."""
