"""What a program's output says in a line."""

from __future__ import annotations

import re

MOST = 8192
"""Characters that are looked at; an engine keeps half as many."""

_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -~]?"
)
"""Colours, titles and movements of the cursor (ECMA-48)."""

_NOISE = re.compile(
    r"% Total\s.*|Dload\s+Upload\s.*|[\d.kMG:\s-]+|[\s^~|{}()\[\]=*#.,;-]*"
    r"|Traceback \(most recent call last\):|Stack ?trace:|\S+:\d+|Node\.js v\S+"
)
"""The progress table of curl, frames, and what stands around a stack."""

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
    """The line that says what went wrong: one that names an error, else one that sounds like one,
    the last of several; else the first. Lines of a stack and of a progress table come after all.
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
