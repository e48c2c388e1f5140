"""Small PNG images from pixels, as a page embeds them. Needs the standard library alone.

Not for reading PNGs: that is rpucc.runtime.data.images.
"""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB = 0, 2


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels as a PNG file: uint8 [H, W] in grey or [H, W, 3] in red, green and blue."""
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)  # 0: a row is stored as it is
    colour = GREY if pixels.ndim == 2 else RGB
    head = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(data, 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """Return pixels as a data: address of a PNG, for an <img>."""
    return f"data:image/png;base64,{base64.b64encode(png(pixels)).decode()}"


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
