"""The tables of a target file: one class each, with what every key may be and what it means.

Not for how layer rules merge, nor for the target as a whole: `target.py`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from rpucc import limits
from rpucc.cells.table import PlanelessCellTable, with_planes
from rpucc.stages import Periphery
from rpucc.target.keys import (
    ActsOn,
    ModelSection,
    OnNode,
    Section,
    conflict,
)
from rpucc.target.values import (
    IMPLICIT,
    OVERFLOW,
    PULSED,
    PULSES,
    Count,
    Cuts,
    Extent,
    Flag,
    Fraction,
    Joules,
    KindName,
    MaskSource,
    ModelName,
    Overflow,
    Pulsed,
    Pulses,
    RateScale,
    Replicas,
    Rereads,
    Seconds,
    Sigma,
    Variations,
    Watts,
    WeightScaling,
    WeightSize,
    choice,
    integer,
)

AUTOMATIC_KINDS = ("auto", "pipeline")
"""What stands for a kind of array that rpucc chooses; no kind may be called so."""


class ArrayKind(Section):
    """One kind of physical array (`[[array]]`)."""

    name: KindName
    """What the kind is called; `--set array.NAME.rows=256` changes one kind, `array.rows` all."""
    rows: Extent
    """Output lines; the largest R that one tile can have."""
    cols: Extent
    """Input lines; the largest C, the bias line included."""
    t_read: Seconds
    """Seconds a read (t_meas of the 2017 paper)."""
    t_pulse: Seconds = 1e-9
    """Seconds a pulse slot of the update; 1 ns is an assumption."""
    count: Count = 0
    """How many of them there are; 0 is as many as needed."""


class PlacementPolicy(Section):
    """How tiles come to lie on arrays (`[placement]`)."""

    share: Flag = False
    """Let tiles of any layers share an array, on disjoint rows and columns; else one tile an array
    (the groups of a grouped convolution lie side by side either way)."""


class Mapping(Section):
    """How layers lie on arrays (`[mapping]`)."""

    cuts: Annotated[Literal["balanced", "greedy"], choice("balanced", "greedy")] = "balanced"
    """balanced: tiles of a layer differ by a line at most; greedy: full tiles, then the rest."""
    array: KindName = "auto"
    """The kind of array, by its name. auto: the smallest that holds the layer's matrix in one tile,
    else the largest. pipeline: as auto, then the slowest layer moves to a faster kind for as long
    as that makes the pipeline faster."""
    row_cuts: Cuts = ()
    """Where to cut the rows, instead of `cuts`: [0, .., R] for an R of the layer's matrix."""
    col_cuts: Cuts = ()
    """Where to cut the columns, the bias line included."""
    bias: Annotated[Literal["auto", "array", "digital"], choice("auto", "array", "digital")] = (
        "auto"
    )
    """array: a column that is fed with 1; digital: an addition. auto: on the array where that takes
    no further arrays. That of a transposed convolution is always digital: its outputs are sums of
    several reads."""
    replicas: Replicas = 1
    """Copies of the layer, which share out its reads; "auto": as many as make the pipeline fastest
    within the `count` of arrays. All copies get every update, so they stay one matrix."""
    replica_updates: Annotated[
        Literal["shared", "independent"], choice("shared", "independent")
    ] = "shared"
    """shared: every copy gets every update; independent: each copy learns on its own from the
    positions that fall to it, at random for each sample (RAPA: Rasch, Gokmen, Rigotti & Haensch
    2019, arXiv 1807.01356). For convolutions with one group."""
    devices_per_weight: Annotated[int, integer(1, 1024)] = 1
    """Devices whose mean is a weight, each updated on its own (Gokmen, Onen & Haensch 2017)."""
    weight_scaling: WeightScaling = "auto"
    """Digital scales of the outputs, so that the weights fit the devices. auto: where trained
    weights lie beyond the devices' mean bounds, and no larger than that takes; a number: always,
    so that it is the largest |w| on the devices; off: never, what does not fit is clipped."""
    weight_scaling_per: Annotated[Literal["output", "layer"], choice("output", "layer")] = "output"
    """A scale for each output line, or one for all of a layer."""

    def check(self, where: str, kinds: tuple[str, ...]) -> None:
        """Refuse a kind of array that the target does not have, and what replicas cannot be."""
        if self.replica_updates == "independent" and self.replicas == "auto":
            allowed = 'a number where replica_updates = "independent"'
            raise conflict(f"{where}.replicas", self.replicas, allowed)
        if self.array not in (*AUTOMATIC_KINDS, *kinds):
            known = ", ".join(f'"{name}"' for name in (*AUTOMATIC_KINDS, *kinds))
            raise conflict(f"{where}.array", self.array, f"one of {known}")


class Management(Section):
    """Noise and bound management (`[management]`; Gokmen, Onen & Haensch 2017)."""

    noise_forward: Annotated[
        Literal["auto", "always", "never"], choice("auto", "always", "never")
    ] = "never"
    """NM in the forward cycle: inputs are divided by their largest before a read and its result is
    multiplied again; auto: only where |x| <= 1 cannot be proved."""
    noise_backward: Annotated[Literal["always", "never"], choice("always", "never")] = "never"
    """NM of the errors, in the backward cycle."""
    bound_forward: Flag = False
    """BM in the forward cycle: a tile that saturates is read again with smaller inputs."""
    bound_backward: Flag = False
    """BM in the backward cycle."""
    bound_mode: Annotated[
        Literal["iterative", "worst-case"],
        choice("iterative", "worst-case"),
        ActsOn("BoundedRead"),
    ] = "iterative"
    """iterative: halve the input and read again until nothing saturates; worst-case: read again
    once, with the input divided by sum |x| · assumed_w_max / bound, and by 2 at least."""
    max_halvings: Annotated[int, integer(0, 30), OnNode("BoundedRead", off=0)] = 10
    """How often bound management reads again before it gives up; worst-case once at most."""
    assumed_w_max: Annotated[
        WeightSize, OnNode("BoundedRead", off=0, where=lambda m: m.bound_mode == "worst-case")
    ] = 0.6
    """The largest |w| that worst-case bound management reckons with: below it no second read
    saturates but for its noise."""


def _is_pulsed(update: Update) -> bool:
    """Where there are no pulse trains nothing reads the rest."""
    return update.pulsed is True


def _is_managed(update: Update) -> bool:
    return _is_pulsed(update) and update.update_management


def _is_implicit(update: Update) -> bool:
    return _is_pulsed(update) and update.pulses == IMPLICIT


class Update(Section):
    """How weights change (`[update]`, physics.md section 3).

    `pulsed = true`: stochastic pulse trains act on the devices one coincidence at a time.
    `pulsed = false`: the exact outer-product update W -= lr * d^T x in float32; pulse trains and
    the device's step and spread then play no part.
    `pulsed = "mean"`: what pulses do on average to each device, by its own step at its weight: its
    response, asymmetry, spread and bounds stay; trains, chance and the noise of pulses do not.
    `pulsed = "rank-1"`: the exact update, cut to the bounds of each device.
    """

    pulsed: Annotated[Pulsed, OnNode("Update", off=0, values=PULSED)] = True
    """Stochastic pulse trains; false: the exact outer product, in float32; mean: the change that
    pulses make on average, through each device's own step, without trains and noise (a limit that
    no hardware reaches); rank-1: the exact outer product, vector by vector, cut to the bounds of
    each device, of which nothing else plays a part."""
    pulses: Annotated[Pulses, OnNode("Update", off=0, values=PULSES, where=_is_pulsed)] = (
        "stochastic"
    )
    """How many pulses a crosspoint gets of a pair of vectors. stochastic: the coincidences of
    random trains; mean-count: round(n_i n_j / BL) of rows and columns that fire n = round(BL p)
    times, p the probability; deterministic-implicit: round(BL p_i p_j). These have no chance."""
    x_res_implicit: Annotated[Fraction, OnNode("Update", off=0, where=_is_implicit)] = 0.0
    """Of deterministic-implicit: the step that probabilities of columns are rounded to, one of
    round(1 / this) to 1; 0: as fine as trains are, 2^-24."""
    d_res_implicit: Annotated[Fraction, OnNode("Update", off=0, where=_is_implicit)] = 0.0
    """The same of rows."""
    bl: Annotated[int, integer(1, 255), OnNode("Update", off=0, where=_is_pulsed)] = 10
    """BL, pulse slots in the update of a position; with update_bl_management the most there are."""
    update_management: Annotated[Flag, OnNode("Update", where=_is_pulsed)] = False
    """UM: both sides fire with equal peak probability, the mean update stays."""
    overflow: Annotated[Overflow, OnNode("Update", off=0, values=OVERFLOW, where=_is_managed)] = (
        "both"
    )
    """Which lines UM cuts where a vector asks for more pulses than it has slots. both: rows and
    columns alike, the probabilities of each to 1; errors: rows alone, columns are never cut (as
    aihwkit does)."""
    update_bl_management: Annotated[Flag, OnNode("Update", where=_is_pulsed)] = False
    """UBLM: as few slots as the update needs, at most `bl`."""

    @property
    def managed(self) -> int:
        """UM: 0 without; 1 with; 2 where it cuts no columns."""
        return self.update_management * (1 + OVERFLOW.index(self.overflow))

    lr_scale: RateScale = 1.0
    """This layer's learning rate as a multiple of training's; 0 freezes the layer (`--freeze`): no
    update, and no backward cycle where nothing below it is trained."""
    feedback: Annotated[Literal["weights", "random"], choice("weights", "random")] = "weights"
    """What the errors of a layer on arrays go back through. weights: its own, transposed; random: a
    fixed random matrix of the same shape on arrays of its own, which nothing updates (feedback
    alignment: Lillicrap et al. 2016, doi 10.1038/ncomms13276)."""
    feedback_seed: Annotated[int, integer(0, limits.DRAWN)] = 0
    """Which random matrix that is: another number draws another one."""
    mask: MaskSource = "none"
    """Weights that stay what they are: no pulse reaches them. zeros: those of the file that are
    exactly 0; FILE.npz: those at which its array of the layer's name is 0 (docs/mapping.md). Tiles
    of nothing but such zeros are left out."""


class CostTable(Section):
    """What the plan's times and energies assume (`[cost]`); docs/cost.md derives each default.

    Nothing here changes what a program computes. Sources: ISAAC (Shafiee et al. 2016, doi
    10.1109/ISCA.2016.12, 32 nm), Horowitz 2014 (doi 10.1109/ISSCC.2014.6757323, 45 nm, 0.9 V),
    Gokmen & Vlasov 2016 (doi 10.3389/fnins.2016.00333).
    """

    expected_rereads: Rereads = 0.0
    """Mean re-reads of a read under bound management; an assumption, measured by a training run."""
    crosspoint_power: Watts = 42e-9
    """Watts in a crosspoint that is read: 1 V over 24 MΩ, Gokmen & Vlasov 2016 from memory."""
    dac_energy: Joules = 0.39e-12
    """Joules to drive one input line for one read: ISAAC, 4 mW / (8 · 128 lines) · 100 ns."""
    adc_step_energy: Joules = 6.5e-15
    """Joules a step, of which a conversion has 2^adc_bits: ISAAC, 16 mW / 8 / 1.2 GS/s / 2^8."""
    pulse_energy: Joules = 0.3e-12
    """Joules to charge one line for one pulse, C V² of 0.3 pF at 1 V: an assumption."""
    pulse_density: Fraction = 1.0
    """Share of the pulse slots in which a line fires; 1 is the upper bound, an assumption."""
    add_energy: Joules = 0.9e-12
    """Joules an addition or comparison in float32: Horowitz 2014."""
    multiply_energy: Joules = 3.7e-12
    """Joules a multiplication in float32: Horowitz 2014."""
    function_energy: Joules = 26e-12
    """Joules a division, root, exponential and the like: 7 multiplications, an assumption."""
    value_bits: Annotated[int, integer(1, 64)] = 32
    """Bits of a digital value that moves where no converter says less: float32, as simulated."""
    byte_energy: Joules = 5e-12
    """Joules to write and read a byte in a 32 kB buffer: 2 · 20 pJ / 8, Horowitz 2014, memory."""


class BatchNorm(Section):
    """What becomes of batch norms (`[batch_norm]`); a layer rule matches the batch norm's name."""

    policy: Annotated[
        Literal["auto", "fold", "frozen", "train", "batch"],
        choice("auto", "fold", "frozen", "train", "batch"),
    ] = "auto"
    """auto: in training batch where the file's mean and variance were never measured (exactly 0
    and 1, or the node is in training mode), else fold; fold: into the layer before, where that is
    exact, else frozen; frozen: digital, unchanged by training; train: digital, with scale and bias
    trained; batch: the same, normalised in training by mean and variance of the minibatch, which
    the running ones follow, and in evaluation by those."""


class Dropout(Section):
    """What becomes of dropouts (`[dropout]`); a layer rule matches the dropout's name."""

    policy: Annotated[Literal["draw", "off"], choice("draw", "off")] = "draw"
    """draw: in training each step draws a mask with the ratio of the file, and an evaluation has
    none; off: it does nothing in training either."""


class DeviceTable(ModelSection):
    """The crosspoint devices (`[device]`): a model and its own parameters, keys beside `model`."""

    model: ModelName = "ideal"
    """The device of each crosspoint: one of rpucc's, or "module:Class" of your own."""


@with_planes(DeviceTable)
class CellTable(PlanelessCellTable):
    """What a weight is made of (`[cell]`): a model and that model's own keys (docs/cells.md).

    Tables in it are the devices of single planes; what they leave out is as in `[device]`.
    """


class VariationPolicy(Section):
    """Which variations the devices are built without (`[variations]`; docs/physics.md section 4).

    The device model says which of its parameters belong to a kind; these become 0. The other
    kinds keep their draws: removing one changes nothing else about the devices.
    """

    remove: Variations = ()
    """dtod: the spread of the steps from device to device; ctoc: the noise of a step from pulse to
    pulse; asymmetry: that up and down steps differ, on average and by device; bounds: the spread of
    the weight bounds, which stay at their mean. "all": these four."""


class Calibration(Section):
    """What is done to the arrays before weights are programmed (`[calibration]`)."""

    zero_shift: Flag = False
    """Zero-shifting (Kim et al. 2019, arXiv 1907.10228): up and down pulses in turn bring every
    device to its symmetry point, a reference array is programmed there, and weights are the
    difference. Needs a device model with symmetry points and `update.pulsed`."""
    pairs: Annotated[int, integer(1, 1_000_000)] = 2000
    """Pairs of an up and a down pulse; a device nears its symmetry point by a share of about
    2 dw_min / w_max of what is left at each."""
    reference_std: Sigma = 0.0
    """Standard deviation of the error with which the reference array is programmed, in units of
    the weight."""


class LayerTables(Section):
    """The tables that a layer rule may have too: all layers' in a target, one layer's in a policy.

    A table is one line here.
    """

    mapping: Mapping = Mapping()
    periphery: Periphery = Periphery()
    device: DeviceTable = DeviceTable()
    cell: CellTable = CellTable()
    variations: VariationPolicy = VariationPolicy()
    management: Management = Management()
    update: Update = Update()
    batch_norm: BatchNorm = BatchNorm()
    dropout: Dropout = Dropout()
    calibration: Calibration = Calibration()

    def check(self, where: str, kinds: tuple[str, ...]) -> None:
        """Refuse what contradicts itself in one of the tables."""
        for name in LayerTables.model_fields:
            getattr(self, name).check(f"{where}.{name}".lstrip("."), kinds)
