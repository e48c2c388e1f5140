"""JSON that files hold, read strictly, and what is wrong with it in one line: key, found, allowed.

Every file and every text of metadata that rpucc writes as JSON has a schema of pydantic, whose
types carry what they allow in words (`Allowed`). Not for TOML that users write: that is
`rpucc/target/messages.py`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from rpucc import limits
from rpucc.errors import one_line
from rpucc.files import read_whole

SHOWN = 60
"""Characters of a value that a message shows."""
FINITE = 2**63
"""What whole numbers stay below."""


@dataclass(frozen=True)
class Allowed:
    """What a type allows, in words; stands last in its Annotated.

    Whatever is wrong with a value, its error says this.
    """

    text: str

    def __get_pydantic_core_schema__(self, kind: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def check(value: Any, inner: core_schema.ValidatorFunctionWrapHandler) -> Any:
            try:
                return inner(value)
            except ValidationError:
                raise PydanticCustomError("allowed", "{allowed}", {"allowed": self.text}) from None

        return core_schema.no_info_wrap_validator_function(check, handler(kind))


def is_plain(text: str) -> bool:
    """Whether file names and terminals take a text: it has no zero and no half of a pair."""
    return _is_unicode(text) and "\0" not in text


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain_text(text: str) -> str:
    if not is_plain(text):
        raise PydanticCustomError("allowed", "a text")
    return text


def _name(text: str) -> str:
    if not _is_unicode(text):
        raise PydanticCustomError("allowed", "a name")
    return text


Text = Annotated[str, Field(strict=True), AfterValidator(_plain_text), Allowed("a text")]
Name = Annotated[str, Field(strict=True), AfterValidator(_name), Allowed("a name")]
"""As models have them: whatever is UTF-8, a zero too."""
Names = Annotated[list[Name], Allowed("a list of names")]
Texts = Annotated[list[Text], Allowed("a list of texts")]
Count = Annotated[
    int, Field(strict=True, ge=0, lt=FINITE), Allowed("a whole number from 0 to 2^63 - 1")
]
Positive = Annotated[
    int, Field(strict=True, ge=1, lt=FINITE), Allowed("a whole number from 1 to 2^63 - 1")
]
Number = Annotated[float, Field(strict=True), Allowed("a number")]
"""Also nan, which stands for what was not measured."""
Above0 = Annotated[
    float, Field(strict=True, gt=0, allow_inf_nan=False), Allowed("a number above 0")
]
AtLeast0 = Annotated[
    float, Field(strict=True, ge=0, allow_inf_nan=False), Allowed("a number of 0 or more")
]
Share = Annotated[float, Field(strict=True, ge=0, le=1), Allowed("a number from 0 to 1")]
Digest = Annotated[
    str, Field(strict=True, pattern="^[0-9a-f]{64}$"), Allowed("64 hexadecimal digits")
]
Object = Annotated[dict[str, Any], Field(strict=True), Allowed("an object")]


def parsed(text: str | bytes, whole: Callable[[str], float] | None = None) -> Any:
    """Return what a text of JSON says; ValueError, one line, for anything else, or a key twice.

    whole: makes a number of the digits of a whole one, in the place of `int`.
    """
    try:
        return json.loads(text, object_pairs_hook=_no_key_twice, parse_int=whole)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("is no valid JSON") from None
    except _TwiceError as error:
        raise ValueError(str(error)) from None
    except ValueError:  # a number of more digits than Python takes
        raise ValueError("is no valid JSON: a number is too long") from None


class _TwiceError(ValueError):
    """An object has a key twice."""


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _TwiceError(f"holds {one_line(twice)[:SHOWN]!r} twice")
    return found


def read_text(path: Path) -> str:
    """Return the text of a file; ValueError, one line, for what cannot be read or is no text."""
    try:
        return read_whole(path, limits.JSON_BYTES).decode()
    except OSError as error:
        raise ValueError(f"cannot read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ValueError("is damaged, no text in UTF-8") from None


def table_rows(text: str) -> Iterator[dict[str, str]]:
    """Yield the lines of a CSV text by their headings; ValueError for what is none."""
    try:
        rows = csv.DictReader(io.StringIO(text), strict=True)
        names = rows.fieldnames or []
        if len(set(names)) < len(names):
            raise ValueError("has a heading twice")
        for row in rows:
            if None in row or None in row.values():
                raise ValueError(f"line {rows.line_num} has not as many cells as headings")
            yield dict(row)
    except csv.Error as error:
        raise ValueError(f"is no CSV: {one_line(error)}") from None


def said(error: ValidationError) -> str:
    """One line about the first thing that is wrong: the key, what was found, what is allowed."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"] if part != "[key]")
    key = f"{one_line(key)[:SHOWN]}: " if key else ""
    kind = first["type"]
    if kind == "missing":
        return f"{key.removesuffix(': ')!r} is missing"
    if kind == "extra_forbidden":
        return f"{key}unknown key"
    if kind == "value_error":
        return f"{key}{one_line(first['ctx']['error'])}"
    return f"{key}found {found(first['input'])}, allowed: {_allowed(first)}"


def _allowed(error: Any) -> str:
    plain = {"list_type": "a list", "dict_type": "an object", "model_type": "an object"}
    plain |= {"model_attributes_type": "an object", "dataclass_type": "an object"}
    if error["type"] == "allowed":
        return str(error["msg"])
    return plain.get(error["type"]) or one_line(error["msg"])


def found(value: Any) -> str:
    """Show a value of JSON, shortened, in one line."""
    try:
        text = one_line(json.dumps(value, ensure_ascii=True))
    except (ValueError, TypeError, RecursionError):  # too long, too deep, or no value of JSON
        text = f"a {type(value).__name__}"
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def wrong(key: str, value: Any, allowed: str) -> NoReturn:
    """Raise from a validator of a whole model what is wrong with one of its keys."""
    raise ValueError(f"{one_line(key)[:SHOWN]}: found {found(value)}, allowed: {allowed}")
