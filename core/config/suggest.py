"""Guessing what was meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A clause: the nearest known word, or all of them."""
    words = sorted(known)
    if close := get_close_matches(name, words, n=1, cutoff=0.6):
        return f"did you mean {close[0]!r}?"
    if not words:
        return "none is known here"
    return "known are " + ", ".join(words)
