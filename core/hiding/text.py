"""Cleaning one text."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from tocsin.core.hiding.characters import blanked, fit, readings
from tocsin.core.hiding.escaped import look_for, without
from tocsin.core.hiding.known import Known
from tocsin.core.hiding.names import HIDDEN

LONGEST = 4000
"""Characters of a text that is kept; of what a program wrote, see the callers."""

_MARGIN = 600
"""Characters beyond the end that are looked at: a secret may be cut in two there."""

_NOTE = 40
"""Characters for saying how much was cut."""

_SHORT = 300
"""Texts up to this length mostly come again and again."""

_known = Known()
"""The secrets of the configurations that were in force."""


def know(secrets: Iterable[str]) -> None:
    """Hide these secrets, and what can be made of them, in every text from now on."""
    if _known.add(secrets):
        _clean_again.cache_clear()


def hide(text: str, known: Known | None = None) -> str:
    """A text without secrets; other characters stay as they are."""
    return look_for((known or _known).hide(text))


def _clean(text: str, lines: bool) -> str:
    fitted = fit(text, lines=lines)
    if fitted == text:
        return hide(text)
    if (blank := blanked(text)) is None:
        return hide(fitted)
    others = {fit(one, lines=lines) for one in readings(text)} - {fitted}
    secrets: set[str] = set()
    for reading in (blank, fitted, *others):
        look_for(reading, secrets.add)
    # Hidden before a sequence can swallow a letter of it, which would make it another text.
    parts = without(_known.hide(text), secrets).split(HIDDEN)
    shown = hide(without(HIDDEN.join(fit(part, lines=lines) for part in parts), secrets))
    for reading in others:
        if (hidden := hide(reading)) != reading and len(hidden) < len(shown):
            shown = without(hidden, secrets)  # which has more of its secrets hidden
    return shown


_clean_again = lru_cache(maxsize=8192)(_clean)


def clean(text: str, *, lines: bool = False, longest: int = LONGEST) -> str:
    """A text fit to be kept and shown: no secrets, no terminal sequences, no control or bidi
    characters, and not endless.

    Line ends are written out as an escape, so that no text can pass for a line of its own;
    ``lines`` keeps them.
    """
    if not text:
        return ""
    text = str.__str__(text) if type(text) is str else str(text)  # a Secret is three asterisks
    if len(text) <= min(_SHORT, longest):
        return _clean_again(text, lines)
    if len(text) <= longest:
        return _clean(text, lines)
    kept = _clean(text[: longest + _MARGIN], lines)
    if len(text) > longest + _MARGIN:
        kept = kept[:-_MARGIN]
    kept = kept[: longest - _NOTE]  # so that a second cleaning changes nothing
    return f"{kept}… ({len(text) - len(kept)} more characters)"
