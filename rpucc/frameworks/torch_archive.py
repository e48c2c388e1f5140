"""Open a .pt2 file (torch.export.save) so that nothing in it runs.

torch's own reader unpickles, evaluates expressions and calls any function that the file names. It
gets a new archive, in memory, of what has been read and checked here: no pickles, no compiled code,
operators of torch.ops.aten alone, sizes that are arithmetic. Not for exporting what was opened:
`torch_export.py`.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rpucc.errors import ModelError, UnsupportedError, one_line

MARK = "archive_format"
"""The member of a .pt2 archive that says what it is; beneath a folder, as all are."""

_MODEL = re.compile(r"models/(?P<name>\w+)\.json")
_SYSTEM = (MARK, "archive_version", "byteorder", ".data/version", ".data/serialization_id")
_OPERATOR = re.compile(r"torch\.ops\.aten\.\w+(\.\w+)?|_operator\.(?P<plain>[a-z]+)|math\.[a-z]+")
_PLAIN = frozenset(
    {
        *("add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "getitem"),
        *("eq", "ne", "lt", "le", "gt", "ge"),
    }
)
_NAMES = frozenset(
    {
        *("Symbol", "Integer", "positive", "nonnegative", "integer", "real", "True", "False"),
        *("Add", "Mul", "Mod", "PythonMod", "FloorDiv", "CeilDiv", "CleanDiv", "IntTrueDiv"),
        *(
            "FloatTrueDiv",
            "TruncToInt",
            "ToFloat",
            "Max",
            "Min",
            "ceiling",
            "floor",
            "oo",
            "int_oo",
        ),
        *("Eq", "Ne", "Lt", "Le", "Gt", "Ge", "And", "Or", "Not", "Equality", "Unequality"),
        *("StrictLessThan", "LessThan", "StrictGreaterThan", "GreaterThan"),
    }
)
"""What sizes are written with, by sympy and by torch."""
_EXPRESSION = re.compile(r"(?:[A-Za-z]\w*|\d+|[-+*/(), =]|'[suz]\d+')*")
_SYMBOL = re.compile(r"[suz]\d+")
_WORD = re.compile(r"[\w.\-+:/]*")
_PAYLOAD = re.compile(r"(?:weight|tensor)_\d+")
_STRUCTURE = re.compile(r'(?!.*__)[\w\s.,:\[\]{}"\\]*')
"""JSON in a text, about containers of tensors; with "__enum__" it would import a module."""


def read_program(path: Path) -> Any:
    """Return the torch.export.ExportedProgram in a file.

    Raises ModelError where it is damaged, older than this form, or holds what could run code.
    """
    import torch

    checked = checked_archive(path)
    try:
        return torch.export.load(checked)
    except Exception as error:  # any damage at all may have been done
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise ModelError(f"{path}: torch cannot read the program: {one_line(reason)}") from error


def checked_archive(path: Path) -> io.BytesIO:
    """Return an archive with the parts of a file that a program needs, checked; ModelError."""
    try:
        return _rewritten(path)
    except ModelError:
        raise
    except Exception as error:  # what zipfile raises about damage has no common base
        raise ModelError(f"{path}: a damaged archive: {one_line(error)}") from error


def _rewritten(path: Path) -> io.BytesIO:
    with zipfile.ZipFile(path) as archive:
        members = _members(archive, path)
        models = [match["name"] for key in members if (match := _MODEL.fullmatch(key))]
        if len(models) != 1:
            compiled = any("aotinductor" in key for key in members)
            found = "compiled code alone" if compiled and not models else f"{len(models)} programs"
            raise ModelError(f"{path}: needs one program as torch.export.save writes; has {found}")
        (name,) = models
        parts = {key: archive.read(members[key]) for key in _SYSTEM if key in members}
        program = _json(archive, members, f"models/{name}.json", path)
        program["guards_code"] = []  # only for running it in torch, as Python
        _check_texts(program, path)
        parts[f"models/{name}.json"] = json.dumps(program).encode()
        parts[f"data/sample_inputs/{name}.pt"] = b""  # a pickle, which nothing here needs
        for folder, kind in (("data/weights", "weights"), ("data/constants", "constants")):
            key = f"{folder}/{name}_{kind}_config.json"
            payloads = _json(archive, members, key, path)
            parts[key] = json.dumps(payloads).encode()
            for payload in _payloads(payloads, path):
                inside = f"{folder}/{payload}"
                parts[inside] = archive.read(_member(members, inside, path))
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as whole:
        for key, content in parts.items():
            whole.writestr(f"program/{key}", content)
    result.seek(0)
    return result


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The members without their common folder; torch packs nothing, so that sizes are true."""
    members = {}
    for info in archive.infolist():
        if info.compress_type != zipfile.ZIP_STORED:
            raise ModelError(
                f"{path}: {one_line(info.filename)} is compressed: no archive of torch"
            )
        members[info.filename.partition("/")[2]] = info
    return members


def _member(members: dict[str, zipfile.ZipInfo], key: str, path: Path) -> zipfile.ZipInfo:
    if key not in members:
        raise ModelError(f"{path}: has no {key}: save it again with this version of torch")
    return members[key]


def _json(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], key: str, path: Path
) -> dict[str, Any]:
    content = archive.read(_member(members, key, path))
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: {key} is no JSON: {one_line(error)}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path}: {key} is no table")
    return found


def _payloads(config: dict[str, Any], path: Path) -> Iterator[str]:
    """Yield the files of weights or constants; refuse pickles and objects."""
    table = config.get("config")
    entries = table.items() if isinstance(table, dict) else ()
    for name, entry in entries:
        place = entry.get("path_name") if isinstance(entry, dict) else None
        plain = isinstance(place, str) and _PAYLOAD.fullmatch(place)
        if not plain or entry.get("use_pickle") is not False:
            raise ModelError(
                f"{path}: weight {one_line(name)!r} is a pickle, which could run code: only plain "
                "dense tensors are read"
            )
        yield str(place)


# ---------------------------------------------------------------- what a program may say


def _check_texts(part: Any, path: Path, key: str = "") -> None:
    """Refuse operators, expressions and names that could be more than that."""
    if isinstance(part, dict):
        if "metadata" in part:
            part["metadata"] = {}  # where in the user's code it came from
        for name, each in part.items():
            _check(_WORD.fullmatch(name), "name", name, path)
            _check_texts(each, path, name)
    elif isinstance(part, list):
        for each in part:
            _check_texts(each, path, key)
    elif isinstance(part, str):
        if key in ("target", "as_operator") and not _allowed(part):
            raise UnsupportedError(
                f"{path}: operator {one_line(part)[:80]!r} is none of PyTorch's own, as "
                "torch.ops.aten.conv2d.default is"
            )
        if key == "expr_str":
            names = re.findall(r"[A-Za-z_]\w*", part)
            known = all(name in _NAMES or _SYMBOL.fullmatch(name) for name in names)
            fits = known and len(part) < 1000 and "**" not in part and _EXPRESSION.fullmatch(part)
            _check(fits, "size", part, path)
        elif key in ("in_spec", "out_spec"):
            _check(_STRUCTURE.fullmatch(part), "structure", part, path)
        else:
            _check(_WORD.fullmatch(part), "name", part, path)


def _allowed(operator: str) -> bool:
    found = _OPERATOR.fullmatch(operator)
    return found is not None and (found["plain"] is None or found["plain"] in _PLAIN)


def _check(passed: object, what: str, text: str, path: Path) -> None:
    if not passed:
        raise ModelError(
            f"{path}: {what} {one_line(text)[:80]!r} of the program is none that torch.export "
            "writes: a damaged or a hostile file"
        )
