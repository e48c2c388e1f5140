"""JSON that is read strictly, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, ValidationError

from rpucc import checked
from rpucc.checked import Allowed, Count, Digest, Share, Text, Texts


class Inner(BaseModel):
    share: Share


class Whole(BaseModel):
    count: Count
    text: Text = ""
    texts: Texts = []
    inner: list[Inner] = []
    digest: Digest | None = None
    names: dict[Text, Annotated[Text | None, Allowed("a text, or null")]] = {}


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({}, "'count' is missing"),
        ([], "found [], allowed: an object"),
        ({"count": "1"}, 'count: found "1", allowed: a whole number from 0 to 2^63 - 1'),
        ({"count": True}, "count: found true, allowed: a whole number from 0 to 2^63 - 1"),
        ({"count": 1.0}, "count: found 1.0, allowed: a whole number from 0 to 2^63 - 1"),
        ({"count": 2**63}, "count: found 9223372036854775808, allowed: a whole number from 0"),
        ({"count": 1, "text": "a\0"}, r'text: found "a\u0000", allowed: a text'),
        ({"count": 1, "text": "\ud800"}, r'text: found "\ud800", allowed: a text'),
        ({"count": 1, "text": "x" * 99 + "\n"}, None),
        ({"count": 1, "texts": ["a", 1]}, 'texts: found ["a", 1], allowed: a list of texts'),
        ({"count": 1, "inner": {}}, "inner: found {}, allowed: a list"),
        ({"count": 1, "inner": [{"share": 0.5}, {}]}, "'inner.1.share' is missing"),
        ({"count": 1, "inner": [{"share": 1.5}]}, "inner.0.share: found 1.5, allowed: a number"),
        ({"count": 1, "inner": [{"share": float("nan")}]}, "inner.0.share: found NaN, allowed"),
        ({"count": 1, "digest": "AB"}, 'digest: found "AB", allowed: 64 hexadecimal digits'),
        ({"count": 1, "names": {"a": 1}}, "names.a: found 1, allowed: a text, or null"),
    ],
)
def test_what_is_said(data: object, line: str | None) -> None:
    if line is None:
        assert Whole.model_validate(data)
        return
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate(data)
    said = checked.said(caught.value)
    assert said.startswith(line)
    assert "\n" not in said
    assert len(said) < 300


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no valid JSON"),
        ("[" * 100_000, "is no valid JSON"),
        (b"\xff", "is no valid JSON"),
        ("9" * 5000, "a number is too long"),
        ('{"a": {"b": 1, "b": 2}}', "holds 'b' twice"),
    ],
)
def test_json_that_is_none(text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked.parsed(text)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "none", "cannot read: No such file"),
        (tmp_path, "cannot read: Is a directory"),
        (Path("/dev/zero"), "cannot read: is a device, not a file"),
    ):
        with pytest.raises(ValueError, match=message):
            checked.read_text(path)
    (tmp_path / "latin").write_bytes(b"\xe4")
    with pytest.raises(ValueError, match="is damaged, no text in UTF-8"):
        checked.read_text(tmp_path / "latin")


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(ValueError, match="is larger than"):
        checked.read_text(tmp_path / "huge")
