"""The Prometheus text exposition format 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/

The text is written here and not by prometheus-client, which takes four times the CPU and blocks the
event loop while it writes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

CHUNK = 240 * 1024
"""Characters after which a piece of the text is handed over, so that others run meanwhile; at most
a mebibyte in UTF-8, as a stream takes at once. Writing them takes about 8 ms; with smaller pieces,
a busy event loop delays the answer by many turns."""

Sample = tuple[str, float]
"""Labels as :func:`labels_of` writes them, and the value."""

Family = tuple[str, str, str, Iterable[Sample]]
"""Name, type, help, samples."""


def escape(text: str) -> str:
    """Return the value of a label as it is written."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def labels_of(**labels: str) -> str:
    """Return labels as they are written."""
    return ",".join(f'{key}="{escape(text)}"' for key, text in labels.items())


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def render(families: Iterable[Family]) -> Iterator[str]:
    """Yield the families that have samples as pieces of text in the exposition format."""
    lines: list[str] = []
    size = 0
    for name, kind, text, samples in families:
        is_begun = False
        for labels, value in samples:
            if not is_begun:
                lines.append(f"# HELP {name} {text}\n# TYPE {name} {kind}\n")
                is_begun = True
            line = (
                f"{name}{{{labels}}} {_number(value)}\n" if labels else f"{name} {_number(value)}\n"
            )
            lines.append(line)
            size += len(line)
            if size >= CHUNK:
                yield "".join(lines)
                lines.clear()
                size = 0
    yield "".join(lines)
