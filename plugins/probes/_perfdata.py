"""Output of Monitoring Plugins: the text, and the performance data.

https://www.monitoring-plugins.org/doc/guidelines.html, "Plugin Output for Nagios" and
"Performance data".
"""

from __future__ import annotations

import math
import re

_ITEM = re.compile(
    r"\s*(?:'((?:[^']|'')*)'|([^\s='|]+))="  # label, quoted ('' is a quote) or not
    r"([^\s;]*)"  # value with unit
    r"(?:;([^\s;]*))?(?:;([^\s;]*))?(?:;([^\s;]*))?(?:;([^\s;]*))?;?"  # warn, crit, min, max
)
_VALUE = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)([a-zA-Z%]*)")
_UNITS = {  # unit: suffix of our metric's name, factor
    "": ("", 1.0),
    "s": ("_seconds", 1.0),
    "ms": ("_seconds", 1e-3),
    "us": ("_seconds", 1e-6),
    "ns": ("_seconds", 1e-9),
    "%": ("_percent", 1.0),
    "c": ("_total", 1.0),
    "b": ("_bytes", 1.0),
    "kb": ("_bytes", 2.0**10),
    "mb": ("_bytes", 2.0**20),
    "gb": ("_bytes", 2.0**30),
    "tb": ("_bytes", 2.0**40),
    "kib": ("_bytes", 2.0**10),
    "mib": ("_bytes", 2.0**20),
    "gib": ("_bytes", 2.0**30),
    "tib": ("_bytes", 2.0**40),
}
MAX_METRICS = 200
MAX_VALUE = 64
"""Characters of a value: none is longer, and matching takes quadratic time."""


def split(output: str) -> tuple[str, str, str]:
    """The first line's text, the further text, and all performance data.

    Text | perfdata on the first line; then further text, and after another ``|`` more perfdata.
    """
    first, _, rest = output.partition("\n")
    text, _, data = first.partition("|")
    long, _, more = rest.partition("|")
    return text.strip(), long.strip(), f"{data} {' '.join(more.split(chr(10)))}"


def parse(data: str) -> dict[str, float]:
    """Metrics by name, in seconds, bytes and percent. What cannot be read is left out."""
    metrics: dict[str, float] = {}
    position = 0
    while position < len(data) and len(metrics) < MAX_METRICS:
        match = _ITEM.match(data, position)
        if match is None or match.end() == position:
            # Skip one word and try again: a single bad item must not cost the others.
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
            metrics[name if name.endswith(suffix) else name + suffix] = value
    return metrics


def _number(text: str) -> tuple[float, str] | None:
    match = _VALUE.fullmatch(text.replace(",", ".")) if len(text) <= MAX_VALUE else None
    if match is None:  # "U" means that the plugin does not know
        return None
    suffix, factor = _UNITS.get(match[2].lower(), ("", 1.0))
    value = float(match[1]) * factor
    return (value, suffix) if math.isfinite(value) else None


def _safe(label: str) -> str:
    """A label as a metric name: ``/`` is root, everything odd an underscore."""
    name = "root" if label == "/" else re.sub(r"[^A-Za-z0-9_]+", "_", label).strip("_")
    return (name or "value")[:80].lower()
