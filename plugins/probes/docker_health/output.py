"""Selection of the most informative line of a program's output."""

from __future__ import annotations

import re

MOST = 8192
"""Most characters examined; an engine keeps 4096 of a health check's output."""

_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -~]?"
)
"""Escape sequences for colours, titles and cursor movements (ECMA-48)."""

_NOISE = re.compile(
    r"% Total\s.*|Dload\s+Upload\s.*|[\d.kMG:\s-]+|[\s^~|{}()\[\]=*#.,;-]*"
    r"|Traceback \(most recent call last\):|Stack ?trace:|\S+:\d+|Node\.js v\S+"
)
"""The progress table of curl, drawn frames, and the lines around a stack trace."""

_NAMED = re.compile(
    r"(?:[\w$]+\.)*\w*(?:Error|Exception|Exit|panic|fatal|FATAL|ERROR)\b.*:\s*\S|\S+: \(\d+\) "
)
_WRONG = re.compile(
    r"error|fail|refused|denied|time[sd]? ?out|exception|panic|unhealthy|unavailable|unreachable"
    r"|cannot|can't|could not|couldn't|unable|invalid|exceeded|\b[45]\d\d\b"
    r"|not (?:found|ready|running|responding|ok)|no (?:such|response|route)",
    re.IGNORECASE,
)


def telling_line(output: str) -> str:
    """Return the line that best explains a failure.

    The last line that names an error is preferred, then the last that contains a word of failure,
    then the first other line. Stack trace and progress table lines have the lowest priority.
    """
    lines = [x for x in re.split(r"[\r\n]+", _SEQUENCE.sub("", output[:MOST])) if x.strip()]
    weights = [_weight(line) for line in lines]
    best = max(weights, default=0)
    chosen = [line for line, weight in zip(lines, weights, strict=True) if weight == best]
    return (chosen[-1 if best > 2 else 0] if chosen else "").strip()


def _weight(line: str) -> int:
    if _NOISE.fullmatch(line.strip()):
        return 0
    if line[0].isspace():
        return 1
    if _NAMED.match(line):
        return 4
    return 3 if _WRONG.search(line) else 2
