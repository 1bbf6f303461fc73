"""Suggestions for misspelt names."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the most similar known name, if one is similar enough."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=0.6)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a clause for an error message: the most similar known name, or all of them."""
    words = sorted(known)
    if close := closest(name, words):
        return f"did you mean {close!r}?"
    if not words:
        return "none is known here"
    return "known are " + ", ".join(words)
