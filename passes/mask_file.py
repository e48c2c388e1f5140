"""Masks in a user's .npz file: an array for each layer, checked before memory is taken.

Not for what becomes of a mask: `mask_weights.py`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc.errors import TargetError, one_line
from rpucc.layer_rules import Names, known_names
from rpucc.masks import find_mask
from rpucc.npy_header import npy_header
from rpucc.origins.matrix import rows_of
from rpucc.origins.notes import matrix_origin_of

if TYPE_CHECKING:
    from pathlib import Path

    from rpucc.layers import AnalogLayer
    from rpucc.masks import Mask

ADVICE = "np.savez(FILE, LAYER=array) makes one"


class MaskFile:
    """A .npz file of masks that was found; closed by `close`.

    path: as the target has it; folder: of the target's file, where it is looked for before the
    current one. Raises TargetError, one line.
    """

    def __init__(self, path: str, folder: Path | None) -> None:
        self.where = f"update.mask {one_line(path)}"
        try:
            self._archive = zipfile.ZipFile(find_mask(path, folder))
        except FileNotFoundError:
            beside = f" beside the target's file in {one_line(folder)}, nor" if folder else ""
            raise TargetError(f"{self.where}: no such file{beside} in the current folder") from None
        except Exception as error:  # noqa: BLE001  as below
            bad = isinstance(error, zipfile.BadZipFile | ValueError)
            reason = "is no .npz archive" if bad else getattr(error, "strerror", None) or error
            raise TargetError(f"{self.where}: {one_line(reason)}; {ADVICE}") from None
        names = self._archive.namelist()
        self.layers = tuple(each.removesuffix(".npy") for each in names if each.endswith(".npy"))
        """The names of its arrays."""

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def check_names(self, layers: Names, digital: Sequence[str]) -> dict[str, str]:
        """Return the array of each layer that has one, by the layer's name.

        layers: those on arrays, with their other names. Raises TargetError for an array of no
        layer, or of one that is digital.
        """
        found: dict[str, str] = {}
        for name in self.layers:
            layer = next((each for each in layers if name == each or name in layers[each]), None)
            if layer is None and name in digital:
                raise TargetError(
                    f"{self.where}: array {one_line(name)!r}: this layer is not on arrays, and "
                    "only those have masks; leave it out"
                )
            if layer is None:
                hint = known_names(name, layers)
                raise TargetError(f"{self.where}: array {one_line(name)!r} is no layer; {hint}")
            if layer in found:
                both = f"arrays {one_line(found[layer])!r} and {one_line(name)!r}"
                raise TargetError(f"{self.where}: {both} are both of layer {layer!r}; leave one")
            found[layer] = name
        return found

    def mask(self, name: str, layer: AnalogLayer) -> Mask:
        """Return an array as the mask of a layer [R, C]: where it is not 0, a weight is trained.

        Raises TargetError where it has another shape, or holds what is no number.
        """
        where = f"{self.where}: array {one_line(name)!r}"
        try:
            with self._archive.open(f"{name}.npy") as stream:
                shape, kind = _header(stream)
            _check_form(where, shape, kind, layer)  # before memory is taken
            with self._archive.open(f"{name}.npy") as stream:
                values = np.lib.format.read_array(stream, allow_pickle=False)
        except TargetError:
            raise
        except Exception as error:  # noqa: BLE001  a damaged archive raises classes of many modules
            raise TargetError(f"{where}: cannot be read: {one_line(error)}; {ADVICE}") from None
        if not np.isfinite(values).all():
            raise TargetError(
                f"{where}: holds NaN or infinity; a mask is 0 where a weight stays what it is, and "
                "another number where it is trained"
            )
        return _as_matrix(values != 0, layer)


def _check_form(
    where: str, shape: tuple[int, ...], kind: np.dtype[Any], layer: AnalogLayer
) -> None:
    shapes = list(_shapes(layer))
    if shape not in [each for each, _ in shapes]:
        allowed = " or ".join(f"{list(each)} ({what})" for each, what in shapes)
        found = f"has the shape {list(shape)}"
        raise TargetError(f"{where}: {found}; layer {layer.name!r} takes {allowed}")
    if kind.kind not in "biuf":
        raise TargetError(f"{where}: holds {kind}; a mask holds numbers, or true and false")


def _header(stream: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and type of an array in the .npy format."""
    version = np.lib.format.read_magic(stream)
    shape, _, kind = npy_header(stream, version)
    return shape, kind


def _shapes(layer: AnalogLayer) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yield the shapes that a mask of a layer may have, the weight's in the file first."""
    origin = matrix_origin_of(layer.weight)
    dims = None if origin is None else origin.weight.terms[0].dims
    if dims is not None:
        yield dims, "its weight in the file"
    rows = layer.rows // (layer.devices * layer.learners)
    columns = layer.columns - (origin is not None and origin.bias is not None)
    if dims != (rows, columns):
        yield (rows, columns), "its matrix"
    if columns != layer.columns and dims != (rows, layer.columns):
        yield (rows, layer.columns), "with the bias as the last column"


def _as_matrix(mask: Mask, layer: AnalogLayer) -> Mask:
    """Lay a mask out as the arrays hold the weights, with copies, devices and a trained bias."""
    origin = matrix_origin_of(layer.weight)
    rows = mask
    if origin is not None and mask.shape == origin.weight.terms[0].dims:
        weight: NDArray[np.bool_] = origin.weight.terms[0].view.of_array(mask)
        rows = rows_of(weight, origin.op, origin.groups, rows_first=origin.rows_first)
    if rows.shape[1] < layer.columns:
        rows = np.concatenate([rows, np.ones((len(rows), 1), bool)], axis=1)
    groups = layer.groups
    by_group = rows.reshape(groups, 1, -1, rows.shape[1])
    one = np.tile(by_group, (1, layer.devices, 1, 1)).reshape(-1, rows.shape[1])
    return np.ascontiguousarray(np.tile(one, (layer.learners, 1)))
