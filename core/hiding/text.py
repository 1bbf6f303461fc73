"""Cleaning one text."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache

from tocsin.core.hiding.characters import blanked, fit, readings, visible
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

MOST_NAMES = 10_000
"""Most names that are remembered as fit."""


class Secrets:
    """The known secrets, and what was checked against them and need not be checked again."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known = Known(secrets)
        self._plain_names: set[str] = set()
        self.clean_again = lru_cache(maxsize=8192)(self.clean)
        """As clean, remembering the results; for short texts, which mostly come again."""

    def add(self, secrets: Iterable[str]) -> None:
        """Learn more secrets."""
        if self._known.add(secrets):
            self.clean_again.cache_clear()
            self._plain_names.clear()

    def hide(self, text: str) -> str:
        """A text without secrets; other characters stay as they are."""
        return look_for(self._known.hide(text))

    def are_plain(self, names: Collection[str]) -> bool:
        """Whether names, which mostly come again, are fit as they are."""
        if self._plain_names.issuperset(names):
            return True
        plain = all(self.hide(visible(str(name))) == name for name in names)
        if plain and len(self._plain_names) < MOST_NAMES:
            self._plain_names.update(names)
        return plain

    def clean(self, text: str, lines: bool) -> str:
        """Clean a text of bounded length; see the function of this name."""
        fitted = fit(text, lines=lines)
        if fitted == text:
            return self.hide(text)
        if (blank := blanked(text)) is None:
            return self.hide(fitted)
        others = {fit(one, lines=lines) for one in readings(text)} - {fitted}
        secrets: set[str] = set()
        for reading in (blank, fitted, *others):
            look_for(reading, secrets.add)
        # Hidden before a sequence can swallow a letter of it, which would make it another text.
        parts = without(self._known.hide(text), secrets).split(HIDDEN)
        shown = self.hide(without(HIDDEN.join(fit(part, lines=lines) for part in parts), secrets))
        for reading in others:
            if (hidden := self.hide(reading)) != reading and len(hidden) < len(shown):
                shown = without(hidden, secrets)  # which has more of its secrets hidden
        return shown


SECRETS = Secrets()
"""One for the process, since logs, commands and plugins clean texts without knowing an app. A
stopped app's secrets stay: what is logged after its end may still contain them."""


def know(secrets: Iterable[str]) -> None:
    """Hide these secrets, and what can be made of them, in every text from now on."""
    SECRETS.add(secrets)


def hide(text: str, known: Known | None = None) -> str:
    """A text without secrets; other characters stay as they are."""
    return SECRETS.hide(text) if known is None else look_for(known.hide(text))


def are_plain(names: Collection[str]) -> bool:
    """Whether names, which mostly come again, are fit as they are."""
    return SECRETS.are_plain(names)


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
        return SECRETS.clean_again(text, lines)
    if len(text) <= longest:
        return SECRETS.clean(text, lines)
    kept = SECRETS.clean(text[: longest + _MARGIN], lines)
    if len(text) > longest + _MARGIN:
        kept = kept[:-_MARGIN]
    kept = kept[: longest - _NOTE]  # so that a second cleaning changes nothing
    return f"{kept}… ({len(text) - len(kept)} more characters)"
