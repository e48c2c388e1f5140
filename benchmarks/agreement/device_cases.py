"""Response curves of every device model, and of the presets of aihwkit, as plain data.

Both sides sample devices by aihwkit's convention (`MIRRORED`) and give each the same number of
pulses. There the spread of a slope is in units of the slope, here a fraction of its mean.
"""

from __future__ import annotations

from typing import Any

from benchmarks.agreement.cases import Response

Table = dict[str, Any]

MIRRORED: Table = {"asymmetry": "one-sided", "consistency": "mirror"}
SPREADS: Table = {
    "dw_min_dtod": 0.3, "dw_min_std": 0.3, "up_down_dtod": 0.01, "w_max": 0.6, "w_min": -0.6,
    "w_max_dtod": 0.3, "w_min_dtod": 0.3,
}  # fmt: skip
"""aihwkit's defaults of all pulsed devices."""


def _model(name: str, model: str, theirs: str, pulses: int, own: Table, their: Table) -> Response:
    """A model with step 0.01; `own` and `their` are what each side calls the rest."""
    ours = {**MIRRORED, **SPREADS, "dw_min": 0.01, **own}
    return Response(
        name, model, tuple(ours.items()), pulses, theirs, tuple({"dw_min": 0.01, **their}.items())
    )


def _preset(name: str, model: str, theirs: str, pulses: int, own: Table) -> Response:
    """A preset without write noise, of which there the hidden weight is meant."""
    ours = {**MIRRORED, **SPREADS, **own}
    hidden = (("write_noise_std", 0.0),) if theirs.startswith("ReRam") else ()
    return Response(name, model, tuple(ours.items()), pulses, f"{theirs}PresetDevice", hidden)


_REFERENCE = {
    "mult_noise": False, "subtract_symmetry_point": True, "reference_std": 0.05,
    "dw_min_log_normal": True, "w_max": 1.0, "w_min": -1.0,
}  # fmt: skip
_REFERENCE_SLOPES = {
    "slope_up_dtod": 0.2, "slope_down_dtod": 0.3, "reference_mean": 0.1, "reference_std": 0.1,
    "subtract_symmetry_point": True, "up_down": 0.2, "mult_noise": True,
}  # fmt: skip

DEVICE_CASES: tuple[Response, ...] = (
    _model("soft-bounds, one-sided", "soft-bounds", "SoftBoundsDevice", 60,
           {"up_down": 0.1}, {"up_down": 0.1}),
    _model("soft-bounds, additive noise", "soft-bounds", "SoftBoundsDevice", 60,
           {"up_down": -0.1, "dw_min_std": 1.0, "mult_noise": False},
           {"up_down": -0.1, "dw_min_std": 1.0, "mult_noise": False}),
    _model("soft-bounds, reference and slopes", "soft-bounds", "SoftBoundsReferenceDevice", 60,
           _REFERENCE_SLOPES, _REFERENCE_SLOPES),
    _model("linear-step", "linear-step", "LinearStepDevice", 60,
           {"gamma_up": 0.4, "gamma_down": 0.7, "gamma_up_dtod": 0.125,
            "gamma_down_dtod": 0.05 / 0.7},
           {"gamma_up": 0.4, "gamma_down": 0.7, "mean_bound_reference": False}),
    _model("exp-step", "exp-step", "ExpStepDevice", 60, {}, {}),
    _model("pow-step", "pow-step", "PowStepDevice", 60,
           {"pow_gamma": 2.0, "pow_up_down": 0.3, "pow_up_down_dtod": 0.1},
           {"pow_gamma": 2.0, "pow_up_down": 0.3, "pow_up_down_dtod": 0.1}),
    _model("piecewise-step", "piecewise-step", "PiecewiseStepDevice", 60,
           {"nodes_up": (1.5, 1.2, 0.8, 0.1), "nodes_down": (0.2, 0.6, 1.0, 1.4)},
           {"piecewise_up": [1.5, 1.2, 0.8, 0.1], "piecewise_down": [0.2, 0.6, 1.0, 1.4]}),
    _model("constant-step, a fifth stuck", "constant-step", "ConstantStepDevice", 60,
           {"corrupt_devices_prob": 0.2}, {"corrupt_devices_prob": 0.2}),
    _preset("ReRamES", "exp-step", "ReRamES", 700,
            {"dw_min": 0.00135, "up_down": 0.259359, "up_down_dtod": 0.05, "w_max": 1.0,
             "w_min": -1.0, "dw_min_dtod": 0.2, "dw_min_std": 5.0, "a": -0.5, "b": -0.5,
             "gamma_up": 5.0, "gamma_down": 5.0, "A_up": -1.18445, "A_down": -0.081404}),
    _preset("ReRamSB", "soft-bounds", "ReRamSB", 500,
            {"dw_min": 0.002, "w_max": 1.25, "w_max_dtod": 0.24, "w_min": -0.75,
             "w_min_dtod": 0.4, "dw_min_std": 3.75, "mult_noise": False}),
    _preset("Capacitor", "linear-step", "Capacitor", 200,
            {"dw_min": 0.005, "up_down_dtod": 0.06, "w_max": 1.0, "w_min": -1.0,
             "w_max_dtod": 0.07, "w_min_dtod": 0.07, "dw_min_dtod": 0.1, "gamma_up": 0.05,
             "gamma_down": 0.05, "gamma_up_dtod": 0.2, "gamma_down_dtod": 0.2,
             "mean_bound_reference": True, "mult_noise": False}),
    _preset("EcRam", "linear-step", "EcRam", 500,
            {"dw_min": 0.002, "w_max": 1.1724, "w_min": -0.8276, "w_max_dtod": 0.05,
             "w_min_dtod": 0.05, "dw_min_dtod": 0.1, "gamma_up": 0.1153, "gamma_down": 0.5085,
             "gamma_up_dtod": 0.433651, "gamma_down_dtod": 0.098328,
             "mean_bound_reference": True}),
    _preset("EcRamMO", "linear-step", "EcRamMO", 1000,
            {"dw_min": 0.00028214, "w_max": 1.1714, "w_min": -0.8286, "w_max_dtod": 0.05,
             "w_min_dtod": 0.05, "dw_min_dtod": 0.1, "dw_min_std": 2.0, "gamma_up": 0.4152,
             "gamma_down": 0.7342, "gamma_up_dtod": 0.120424, "gamma_down_dtod": 0.068101,
             "mean_bound_reference": True}),
    _preset("Idealized", "constant-step", "Idealized", 1000,
            {"dw_min": 0.0002, "up_down_dtod": 0.0, "w_max": 1.0, "w_min": -1.0}),
    _preset("GokmenVlasov", "constant-step", "GokmenVlasov", 600,
            {"dw_min": 0.0016, "w_max": 1.0, "w_min": -1.0}),
    _preset("PCM", "exp-step", "PCM", 100,
            {"dw_min": 0.01, "up_down_dtod": 0.05, "w_max": 2.0, "w_max_dtod": 0.1, "w_min": 0.0,
             "dw_min_dtod": 0.2, "dw_min_std": 0.6, "a": -1.0, "b": 0.0, "gamma_up": 2.5,
             "gamma_down": 2.5, "A_up": -27.235, "A_down": -2.235, "dw_min_std_add": 0.042,
             "dw_min_std_slope": 0.108}),
    _preset("ReRamArrayOM", "soft-bounds", "ReRamArrayOM", 20,
            {**_REFERENCE, "dw_min": 0.0949, "w_max_dtod": 0.3499, "w_min_dtod": 0.5695,
             "dw_min_dtod": 0.7829, "dw_min_std": 0.4158}),
    _preset("ReRamArrayHfO2", "soft-bounds", "ReRamArrayHfO2", 20,
            {**_REFERENCE, "dw_min": 0.4622, "w_max_dtod": 0.4295, "w_min_dtod": 0.5990,
             "dw_min_dtod": 0.7125, "dw_min_std": 0.2174}),
)  # fmt: skip
