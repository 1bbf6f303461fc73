"""Parses the output of Monitoring Plugins: text and performance data.

Source: https://www.monitoring-plugins.org/doc/guidelines.html, sections "Plugin Output for Nagios"
and "Performance data".
"""

from __future__ import annotations

import math
import re

_ITEM = re.compile(
    r"\s*(?:'((?:[^']|'')*)'|([^\s='|]+))="  # label, quoted ('' is a quote) or not
    r"([^\s;]*)"  # value with unit
    r"(?:;([^\s;]*))?(?:;([^\s;]*))?(?:;([^\s;]*))?(?:;([^\s;]*))?;?"  # warn, crit, min, max
)
_VALUE = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)([^\d\s.+-]*)")
_UNIT = re.compile(r"([kKMGTPE]i?|[mgtp](?=b(?:/s)?$)|)([bB]|bits?|bps|Bps|Hz|)(/s)?")
_POWERS = {letter: power for power, letter in enumerate("KMGTPE", 1)}
_UNITS = {  # unit: suffix of the metric's name, factor of the value
    "": ("", 1.0),
    "s": ("_seconds", 1.0),
    "ms": ("_seconds", 1e-3),
    "us": ("_seconds", 1e-6),
    "\u00b5s": ("_seconds", 1e-6),
    "\u03bcs": ("_seconds", 1e-6),
    "ns": ("_seconds", 1e-9),
    "%": ("_percent", 1.0),
    "c": ("_total", 1.0),
    "C": ("_celsius", 1.0),
    "\u00b0C": ("_celsius", 1.0),
    "\u2103": ("_celsius", 1.0),
    "\u00b0F": ("_fahrenheit", 1.0),
}
_ENDS = (
    "_seconds", "_percent", "_total", "_celsius", "_fahrenheit", "_bytes_per_second",
    "_bits_per_second", "_per_second", "_bytes", "_bits", "_hertz",
)  # fmt: skip
MAX_METRICS = 200
MAX_VALUE = 64
"""Most characters of a value. Real values are shorter, and matching takes quadratic time."""


def split(output: str) -> tuple[str, str, str]:
    """Split the output of a plugin.

    The first line is ``text | performance data``; the following lines are further text and, after
    another ``|``, more performance data.

    Returns:
        The text of the first line, the further text, and all performance data.
    """
    first, _, rest = output.partition("\n")
    text, _, data = first.partition("|")
    long, _, more = rest.partition("|")
    return text.strip(), long.strip(), f"{data} {' '.join(more.split(chr(10)))}"


def parse(data: str) -> dict[str, float]:
    """Parse performance data, and skip items that are not valid.

    Returns:
        Values by metric name, converted to base units: seconds, bytes, bits, percent.
    """
    metrics: dict[str, float] = {}
    position = 0
    while position < len(data) and len(metrics) < MAX_METRICS:
        match = _ITEM.match(data, position)
        if match is None or match.end() == position:
            # Skip one word and try again, so that an invalid item does not hide the others.
            gap = re.compile(r"\s*\S+").match(data, position)
            if gap is None:
                break
            position = gap.end()
            continue
        position = match.end()
        label = match[1].replace("''", "'") if match[1] is not None else match[2]
        found = _number(match[3])
        if found is not None:
            value, suffix = found
            name = _safe(label)
            name = name if name.endswith(suffix) else name + suffix
            number = next(n for n in range(1, MAX_METRICS + 1) if _nth(name, n) not in metrics)
            metrics[_nth(name, number)] = value
    return metrics


def _number(text: str) -> tuple[float, str] | None:
    match = _VALUE.fullmatch(text.replace(",", ".")) if len(text) <= MAX_VALUE else None
    if match is None:  # such as "U": the plugin could not determine the value
        return None
    suffix, factor = _unit(match[2])
    value = float(match[1]) * factor
    return (value, suffix) if math.isfinite(value) else None


def _unit(text: str) -> tuple[str, float]:
    """Return the suffix of the metric's name for a unit, and the factor for its values.

    Prefixes of bytes are powers of 1,024, as plugins use them, all others powers of 1,000. ``Mb``
    is bits; ``mb`` is bytes, since many plugins write it so. An unknown unit has no suffix.
    """
    if (known := _UNITS.get(text) or _UNITS.get(text.lower())) is not None:
        return known
    if (match := _UNIT.fullmatch(text)) is None:
        return "", 1.0
    prefix, unit, per_second = match[1].upper(), match[2], match[3]
    rate = "_per_second" if per_second or unit.endswith("ps") else ""
    sloppy = unit == "b" and match[1] in ("", *"kmgtp")
    if unit in ("B", "Bps") or sloppy:
        name = "_bytes"
    else:
        name = "" if not unit else "_hertz" if unit == "Hz" else "_bits"
    base = 1024.0 if name == "_bytes" or prefix.endswith("I") else 1000.0
    return name + rate, base ** (_POWERS[prefix[0]] if prefix else 0)


def _nth(name: str, number: int) -> str:
    """Number a name that several labels share: the second ``disk_percent`` is
    ``disk_2_percent``."""
    if number == 1:
        return name
    stem, suffix = next(
        ((name.removesuffix(end), end) for end in _ENDS if name.endswith(end)), (name, "")
    )
    return f"{stem}_{number}{suffix}"


def _safe(label: str) -> str:
    """Turn a label into a metric name: ``/`` becomes ``root``, other invalid characters ``_``."""
    name = "root" if label == "/" else re.sub(r"[^A-Za-z0-9_]+", "_", label).strip("_")
    return (name or "value")[:80].lower()
