"""Cleaning of one text."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache

from tocsin.core.hiding.characters import blanked, fit, readings, visible
from tocsin.core.hiding.escaped import look_for, without
from tocsin.core.hiding.known import Known
from tocsin.core.hiding.names import HIDDEN

LONGEST = 4000
"""Maximum length of a stored text, in characters; callers set another one for program output."""

_MARGIN = 600
"""Characters beyond the maximum that are examined: a secret may be cut in two there."""

_NOTE = 40
"""Characters reserved for the note that says how much was cut."""

_SHORT = 300
"""Length, in characters, up to which the results of cleaning are cached: such texts recur."""

MOST_NAMES = 10_000
"""Maximum number of names that are cached as clean."""


class Secrets:
    """The known secrets, and caches of texts that were checked against them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known = Known(secrets)
        self._plain_names: set[str] = set()
        self.clean_again = lru_cache(maxsize=8192)(self.clean)
        """:meth:`clean` with a cache; for short texts, which usually recur."""

    def add(self, secrets: Iterable[str]) -> None:
        """Add secrets."""
        if self._known.add(secrets):
            self.clean_again.cache_clear()
            self._plain_names.clear()

    def hide(self, text: str) -> str:
        """Return a text without secrets; other characters are not changed."""
        return look_for(self._known.hide(text))

    def are_plain(self, names: Collection[str]) -> bool:
        """Return whether names, which usually recur, are clean as they are."""
        if self._plain_names.issuperset(names):
            return True
        plain = all(self.hide(visible(str(name))) == name for name in names)
        if plain and len(self._plain_names) < MOST_NAMES:
            self._plain_names.update(names)
        return plain

    def clean(self, text: str, lines: bool) -> str:
        """Clean a text of bounded length; see :func:`clean`."""
        fitted = fit(text, lines=lines)
        if fitted == text:
            return self.hide(text)
        if (blank := blanked(text)) is None:
            return self.hide(fitted)
        others = {fit(one, lines=lines) for one in readings(text)} - {fitted}
        secrets: set[str] = set()
        for reading in (blank, fitted, *others):
            look_for(reading, secrets.add)
        # Secrets are hidden first: a removed sequence may take a letter with it and so change one.
        parts = without(self._known.hide(text), secrets).split(HIDDEN)
        shown = self.hide(without(HIDDEN.join(fit(part, lines=lines) for part in parts), secrets))
        for reading in others:
            if (hidden := self.hide(reading)) != reading and len(hidden) < len(shown):
                shown = without(hidden, secrets)  # in this form, more of its secrets are hidden
        return shown


SECRETS = Secrets()
"""One object for the process, since logs, commands and plugins clean texts without knowing an app.
The secrets of a stopped app stay, since texts that are logged after its end may contain them."""


def know(secrets: Iterable[str]) -> None:
    """Hide these secrets, and what can be derived from them, in every text from now on."""
    SECRETS.add(secrets)


def hide(text: str, known: Known | None = None) -> str:
    """Return a text without secrets; other characters are not changed."""
    return SECRETS.hide(text) if known is None else look_for(known.hide(text))


def are_plain(names: Collection[str]) -> bool:
    """Return whether names, which usually recur, are clean as they are."""
    return SECRETS.are_plain(names)


def clean(text: str, *, lines: bool = False, longest: int = LONGEST) -> str:
    """Return a text that may be stored and shown: without secrets, terminal sequences, control
    characters and bidirectional marks, and of limited length.

    Args:
        text: the text.
        lines: whether to keep line ends; otherwise they are written as escapes, so that no text can
            pass for a separate line.
        longest: maximum length, in characters.
    """
    if not text:
        return ""
    text = str.__str__(text) if type(text) is str else str(text)  # str() of a Secret is asterisks
    if len(text) <= min(_SHORT, longest):
        return SECRETS.clean_again(text, lines)
    if len(text) <= longest:
        return SECRETS.clean(text, lines)
    kept = SECRETS.clean(text[: longest + _MARGIN], lines)
    if len(text) > longest + _MARGIN:
        kept = kept[:-_MARGIN]
    kept = kept[: longest - _NOTE]  # so that a second cleaning changes nothing
    return f"{kept}… ({len(text) - len(kept)} more characters)"
