"""Damage to files, seeded and aware of their structure: the same seed makes the same damage.

A mutation takes a `random.Random` and the bytes of a good file, and returns those of a bad one (or
of one that is good by chance). Not for what readers must do with them: `test_hostile.py`.
"""

from __future__ import annotations

import ast
import io
import json
import math
import struct
import tomllib
import warnings
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

import numpy as np

Mutation = Callable[[Random, bytes], bytes]

DEEP = "[" * 3000 + "]" * 3000
NUMBERS = (0, 1, -1, 2, 3, 7, 31, 32, 255, 256, 65535, 65536, 2**24, 2**31 - 1, 2**31, -(2**31))
NUMBERS += (2**32, 2**40, 2**53, 2**63 - 1, 2**63, -(2**63), 2**64, 10**30)
FLOATS = (0.0, -0.0, 0.5, 1e-46, 1e-38, 3.4e38, 1e39, 1e308, -1e308, 5e-324)
FLOATS += (math.inf, -math.inf, math.nan)
TEXTS = ("", " ", "0", "1", "-1", "x", "N", "auto", "same", "all", "²", "1e999", "nan", "../../x")
TEXTS += ("x" * 3000, "\0", "\x1b[31m", "\u202e", "a\nb", "{}", "[]", "null", "*", "[", "conv1")


def damage(random: Random, data: bytes) -> bytes:
    """Change bytes: flip, overwrite, cut out, cut off, double, insert."""
    content = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 5, 20))):
        at = random.randrange(len(content) or 1)
        length = random.choice((1, 2, 4, 8, 50))
        kind = random.randrange(7)
        if kind == 0 and content:
            content[at] ^= 1 << random.randrange(8)
        elif kind == 1 and content:
            content[at] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
        elif kind == 2:
            del content[at : at + length]
        elif kind == 3 and random.random() < 0.2:
            del content[at:]
        elif kind == 4:
            content[at:at] = content[at : at + length]
        elif kind == 5:
            content[at:at] = random.randbytes(length)
        else:
            number = random.choice(NUMBERS) % 2**64
            content[at : at + 8] = struct.pack(random.choice("<>") + "Q", number)
    return bytes(content)


def one_of(*choices: tuple[int, Mutation]) -> Mutation:
    """Choose among mutations by weight, anew each time."""

    def mutate(random: Random, data: bytes) -> bytes:
        weights, mutations = zip(*choices, strict=True)
        return random.choices(mutations, weights)[0](random, data)

    return mutate


# ---------------------------------------------------------------- trees: JSON and TOML


def hostile_value(random: Random, old: Any = None) -> Any:
    """Return a value that is probably wrong, often near the old one."""
    if isinstance(old, bool):
        near: Any = not old
    elif isinstance(old, int):
        near = old + random.choice((-1, 1, -old, old, 1000))
    elif isinstance(old, float):
        near = old * random.choice((-1.0, 0.0, 2.0, 1e10, 1e-10, 1e300))
    elif isinstance(old, str):
        at = random.randrange(len(old) + 1)
        near = old[:at] + random.choice(TEXTS) + old[at + random.randrange(2) :]
    elif isinstance(old, list):
        near = random.choice(([*old, *old], old[:-1], old[::-1], [old], old * 300))
    else:
        near = {}
    pools: tuple[Any, ...] = (NUMBERS, FLOATS, TEXTS, (None, True, False, [], {}, [[]], [{}], "1"))
    return random.choice((near, near, random.choice(random.choice(pools))))


def mutate_tree(random: Random, tree: Any) -> Any:
    """Change a tree of dictionaries and lists in place: values, keys, order; returns it."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        places = list(_places(tree)) if isinstance(tree, dict | list) else []
        if not places:
            return hostile_value(random, tree)
        holder, key = random.choice(places)
        kind = random.randrange(8)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[str(random.choice((*TEXTS, f"{key}x", str(key)[:-1])))] = holder.pop(key)
        elif kind == 2:
            other, where = random.choice(places)
            holder[key] = json.loads(json.dumps(other[where]))
        else:
            holder[key] = hostile_value(random, holder[key])
    return tree


def _places(tree: Any) -> Any:
    """Yield (holder, key) of everything in a tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(items):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def json_tree(random: Random, data: bytes) -> bytes:
    """Change values and keys of a JSON file."""
    if random.random() < 0.01:
        return DEEP.encode()
    return json.dumps(mutate_tree(random, json.loads(data))).encode()


def toml_tree(random: Random, data: bytes) -> bytes:
    """Change values and keys of a TOML file; it comes back as tables of one line each."""
    tree = mutate_tree(random, tomllib.loads(data.decode()))
    if not isinstance(tree, dict):
        tree = {"x": tree}
    if random.random() < 0.01:
        return f"x = {DEEP}".encode()
    return "".join(f"{_text(k)} = {toml_text(v)}\n" for k, v in tree.items()).encode()


def toml_text(value: Any) -> str:
    """Write a value as TOML, in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(k)} = {toml_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_text, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    if value is None:
        return '"null"'
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _text(text: Any) -> str:
    return json.dumps(str(text), ensure_ascii=True).replace("\x7f", "\\u007f")


# ---------------------------------------------------------------- containers


def zip_members(random: Random, data: bytes) -> bytes:
    """Change an archive: its members' headers, contents, names, order and methods."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    kind = random.randrange(6)
    at = random.randrange(len(members))
    name, content = members[at]
    if kind < 3:
        members[at] = name, npy_header(random, content)
    elif kind == 3:
        members[at] = random.choice((*TEXTS, "y.npy", "x_train.npy")) or "x", content
    elif kind == 4:
        members.append(members[at]) if random.random() < 0.5 else members.pop(at)
    else:
        members[at] = name, damage(random, content)
    stream = io.BytesIO()
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    method = random.choice(methods)
    with zipfile.ZipFile(stream, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two members with one name
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name.replace("\0", "_")), content)
    return stream.getvalue()


def npy_header(random: Random, data: bytes) -> bytes:
    """Change what a .npy file says about itself: type, order, shape."""
    size = struct.unpack_from("<H", data, 8)[0] if len(data) > 10 else 0
    try:
        header = dict(ast.literal_eval(data[10 : 10 + size].decode("latin1")))
    except (ValueError, SyntaxError):
        return damage(random, data)
    types = (
        "<f4",
        ">f8",
        "|u1",
        "<i8",
        "|O",
        "<c8",
        "<U4",
        "|V3",
        "<M8[s]",
        "f",
        "x",
        "<f2",
        "|b1",
    )
    shapes: tuple[Any, ...] = ((), (0,), (2**62,), (2**31, 2**31, 4), (-1,), (1,) * 40, "x", (1.5,))
    key = random.choice(("descr", "fortran_order", "shape"))
    values = {"descr": types, "fortran_order": (True, 1, None), "shape": shapes}[key]
    header[key] = random.choice(values)
    if key == "shape" and random.random() < 0.4:
        header[key] = tuple(random.choice((0, 1, 3, 20, 2**20)) for _ in range(random.randrange(5)))
    text = repr(header).encode() + b" " * random.randrange(20) + b"\n"
    version = random.choice((b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\x09\0"))
    length = struct.pack("<H" if version == b"\1\0" else "<I", len(text))
    return b"\x93NUMPY" + version + length + text + data[10 + size :]


def safetensors_header(random: Random, data: bytes) -> bytes:
    """Change a safetensors file's header, or the JSON texts in its metadata where it has any."""
    size = struct.unpack_from("<Q", data)[0]
    head, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    if "__metadata__" in head and random.random() < 0.6:
        notes = json.loads(head["__metadata__"]["rpucc"])
        key = random.choice([*notes, "counters", "history", "history"])
        try:
            notes[key] = json.dumps(mutate_tree(random, json.loads(notes[key])))
        except (ValueError, TypeError):
            notes = mutate_tree(random, notes)
        if isinstance(notes, dict) and random.random() < 0.9:  # what the digest would refuse, too
            notes.pop("notes", None)
        head["__metadata__"]["rpucc"] = json.dumps(notes)
    else:
        head = mutate_tree(random, head)
    text = json.dumps(head).encode()
    claimed = len(text) if random.random() < 0.9 else random.choice(NUMBERS) % 2**64
    return struct.pack("<Q", claimed) + text + body


def idx_header(random: Random, data: bytes) -> bytes:
    """Change an IDX file's type, axes and sizes."""
    content = bytearray(data)
    kind = random.randrange(3)
    if kind == 0:
        content[2] = random.choice((8, 9, 11, 12, 13, 14, 0, 255))
    elif kind == 1:
        content[3] = random.randrange(12)
    else:
        at = 4 + 4 * random.randrange(3)
        content[at : at + 4] = struct.pack(">I", random.choice(NUMBERS) % 2**32)
    return bytes(content)


@cache
def packed_zeros() -> bytes:
    """64 MB of zeros, as zlib packs them."""
    return zlib.compress(bytes(2**26), 9)


def png_chunks(random: Random, data: bytes) -> bytes:
    """Change a PNG's chunks and give them checksums that are right."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        chunks.append((name, data[at + 8 : at + 8 + size]))
        at += 12 + size
    i = random.randrange(len(chunks))
    name, content = chunks[i]
    kind = random.randrange(7)
    if kind == 6 and random.random() < 0.2:  # 64 MB out of 64 KB
        start = random.choice((b"", b"name\0\0", b"name\0"))
        bomb = random.choice((b"zTXt", b"iCCP", b"IDAT", b"iTXt"))
        chunks.insert(max(i, 1), (bomb, start + packed_zeros()))
    elif kind == 0 or (name == b"IHDR" and kind < 4):
        name, content = chunks[0]
        header = list(struct.unpack(">IIBBBBB", content))
        field = random.randrange(7)
        pool = NUMBERS if field < 2 else (0, 1, 2, 3, 4, 6, 8, 16, 255)
        header[field] = random.choice(pool) % (2**32 if field < 2 else 256)
        chunks[0] = name, struct.pack(">IIBBBBB", *header)
    elif kind < 3:
        chunks[i] = name, damage(random, content)
    elif kind == 3:
        chunks.insert(
            i, (random.choice((b"tRNS", b"PLTE", b"iCCP", b"zTXt", b"acTL", b"eXIf")), content)
        )
    elif kind == 4:
        chunks.pop(i)
    else:
        pixels = zlib.compress(random.randbytes(random.choice((0, 10, 100, 10**5))))
        chunks[i] = b"IDAT", pixels
    out = data[:8]
    for name, content in chunks:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        out += struct.pack(">I", len(content)) + name + content + checksum
    return out


def cells(random: Random, data: bytes) -> bytes:
    """Put texts, numbers, delimiters and quotes where cells were."""
    lines = data.split(b"\n")
    for _ in range(random.choice((1, 1, 2, 5))):
        at = random.randrange(len(lines))
        cells = lines[at].split(b",")
        pools = (TEXTS, NUMBERS, FLOATS, ('"', ",,", ";", "\r", "1e5,", '"a'))
        new = str(random.choice(random.choice(pools))).encode()
        cells[random.randrange(len(cells))] = new
        lines[at] = b",".join(cells)
    return b"\n".join(lines)


def safetensors_tensors(random: Random, data: bytes) -> bytes:
    """Change the numbers of a checkpoint and give it the digest that they have then."""
    from safetensors.numpy import load, save

    from rpucc.runtime.checkpoint_file import tensors_digest

    size = struct.unpack_from("<Q", data)[0]
    notes = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["rpucc"])
    tensors = load(data)
    for _ in range(random.choice((1, 1, 3))):
        name = random.choice(sorted(tensors))
        array = tensors[name].copy()
        kind = random.randrange(6)
        if kind < 3 and array.size and array.dtype.kind == "f":
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                array.flat[random.randrange(array.size)] = random.choice(
                    (*FLOATS, 0.59, 0.61, -3.0)
                )
        elif kind == 3:
            array = random.choice((array[None], array.reshape(-1), array[:0], array.T.copy()))
        elif kind == 4:
            array = array.astype(random.choice(("f8", "f2", "i4", "u1", "?")))
        else:
            del tensors[name]
            name = random.choice((name + "x", "", "x" * 300, name)) if tensors else name
        tensors[name] = array
    notes["tensors"] = tensors_digest(tensors)
    return bytes(save(tensors, {"rpucc": json.dumps(notes)}))
