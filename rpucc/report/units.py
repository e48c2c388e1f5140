"""Numbers as people read them: thousands separators, units, percent.

Every number that a table shows goes through here. Not for JSON or CSV: those hold plain numbers.
"""

from __future__ import annotations

import math

NONE = "–"
"""Where there is nothing to show."""


def count(n: int) -> str:
    """Return 12345 as 12,345."""
    return f"{n:,}"


def counted(n: int, word: str) -> str:
    """Return 1 read, 576 reads."""
    return f"{count(n)} {word}{'' if n == 1 else 's'}"


def large(n: float) -> str:
    """Return a large count with three digits: 1.23 million; below 10,000 as it is."""
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if abs(n) >= size:
            return f"{three_digits(n / size)} {word}"
    return f"{n:,.0f}"


def percent(fraction: float | None, decimals: int = 2) -> str:
    """Return a fraction in percent; a small one that would show as zero as "< 0.01 %"."""
    if fraction is None or not math.isfinite(fraction):
        return NONE
    least = 10.0**-decimals
    if 0 < fraction * 100 < least / 2:
        return f"< {least:.{decimals}f} %"
    return f"{fraction * 100:.{decimals}f} %"


def significant_percent(fraction: float) -> str:
    """Return a fraction in percent with about two digits: 0.16 %, 7.6 %, 100 %."""
    value = fraction * 100
    decimals = 0 if value >= 99.95 or value == 0 else 1 if value >= 1 else 2
    return percent(fraction, decimals)


def parameter(value: object) -> str:
    """Return the value of a key as a target file writes it, numbers with six digits.

    >>> parameter(0.3), parameter(True), parameter((1.0, 0.25)), parameter("mirror")
    ('0.3', 'true', '[1, 0.25]', 'mirror')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(parameter, value))}]"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def number(value: float) -> str:
    """Return a loss or the like in at most seven characters; what is not finite in words."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if abs(value) >= 99_999.5:
        return f"{value:.1e}"
    decimals = 4 if abs(value) < 99.995 else 1 if abs(value) < 999.95 else 0
    return f"{value:,.{decimals}f}"


def seconds(value: float) -> str:
    """Return a time with three digits and an SI unit: 5.76 µs."""
    if value == 0:
        return "0 s"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if value >= size * 0.9995:
            return f"{three_digits(value / size)} {unit}"
    return f"{value / 1e-9:.3g} ns"


def si(value: float, unit: str) -> str:
    """Return a quantity of any size with three digits and an SI prefix: 12.3 µJ, 1.50 kW."""
    for prefix, size in _PREFIXES:
        if value >= size * 0.9995:
            return f"{three_digits(value / size)} {prefix}{unit}"
    return f"0 {unit}" if value == 0 else f"{value / _PREFIXES[-1][1]:.3g} {_PREFIXES[-1][0]}{unit}"


_PREFIXES = (
    *(("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0)),
    *(("m", 1e-3), ("µ", 1e-6), ("n", 1e-9), ("p", 1e-12)),
)


def duration(value: float) -> str:
    """Return wall-clock time: 33.1 ms, 4.2 s, 1:05 (minutes) or 2:01:05."""
    if not math.isfinite(value):
        return NONE
    if value < 0.95:
        return seconds(value)
    if value < 59.95:
        return f"{value:.1f} s"
    return clock(value)


def clock(value: float) -> str:
    """Return wall-clock time as 0:42, 1:05 or 2:01:05."""
    if not math.isfinite(value):
        return NONE
    whole = round(value)
    hours, minutes = divmod(whole // 60, 60)
    tail = f"{whole % 60:02d}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"


def size(n: int) -> str:
    """Return bytes as kB, MB or GB (powers of 1000)."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= scale:
            return f"{three_digits(n / scale)} {unit}"
    return f"{n} bytes"


def matrix(rows: int, columns: int, groups: int = 1) -> str:
    """Return rows × columns; of a grouped layer "96 of 1 × 10"."""
    text = f"{rows:,} × {columns:,}"
    return f"{groups:,} of {text}" if groups > 1 else text


def three_digits(value: float) -> str:
    """Return a number below 10,000 with three significant digits and no exponent."""
    decimals = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:,.{decimals}f}"


def spread(mean: float, std: float, decimals: int = 3) -> str:
    """Return a mean with a standard deviation; there is no -0.

    >>> spread(-1e-9, 0.117)
    '0.000 ± 0.117'
    """
    return f"{round(mean, decimals) + 0.0:.{decimals}f} ± {std:.{decimals}f}"


def plain(text: str) -> str:
    """Return a name from a file as printable text: no control characters reach a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)
