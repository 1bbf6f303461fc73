"""The names of targets: given by their sources, or requested by labels.

A target always has a right to the name that its source gives it (its own name). A label may request
another one, unless another target has that name or has a right to it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from tocsin.core.config.checks import bad_name
from tocsin.core.config.settings import Settings
from tocsin.core.contracts.source import Claim

Own = tuple[str, str]
"""A source, and its own name of a target."""


class Names:
    """Assigns each target its name, according to labels, configuration and other targets."""

    def __init__(self) -> None:
        self._settings: Settings | None = None
        self._kept: dict[str, str] = {}
        """Names of the configuration, by their :func:`looks`."""
        self._said: frozenset[str] = frozenset()
        """Names of the configuration, as they are written."""
        self._also: dict[str, dict[Own, None]] = {}
        """By name: targets that the configuration may mean by it, though their own differs."""
        self._meant: dict[Own, tuple[str, ...]] = {}
        """The same, by target."""
        self._given: dict[Own, str] = {}
        self._owner: dict[str, Own] = {}
        self._alike: dict[str, dict[Own, None]] = {}
        """Targets whose assigned or own name looks alike, by :func:`looks`."""

    def configure(self, settings: Settings) -> None:
        """Set the names that a configuration declares, or lists as dependencies."""
        self._settings = settings
        said = settings.targets.values()
        names = [name for target in said for name in target.depends_on or ()]
        self._said = frozenset((*names, *settings.targets))
        self._kept = {looks(name): name for name in (*names, *settings.targets)}

    def of(self, own: Own) -> str:
        """Return the name of a target; its own if none is assigned."""
        return self._given.get(own, own[1])

    def owner(self, name: str) -> Own | None:
        """Return the target that has a name, or None."""
        return self._owner.get(name)

    def give(self, own: Own, claim: Claim) -> tuple[str, str | None]:
        """Assign a target its name.

        Another target that got this name by a label must then be renamed: see :meth:`displaced`.

        Args:
            own: the target.
            claim: what its labels request.

        Returns:
            The name, and a sentence that says why it is not the requested one, or None.
        """
        self.take_back(own)
        source, name = own
        why = None
        if claim.name is not None and claim.name != name:
            why = self._refusal(own, claim.name, claim)
            name = claim.name if why is None else name
        self._meant[own] = tuple(dict.fromkeys(claim.also))
        for each in claim.also:
            self._also.setdefault(each, {})[own] = None
        if name == own[1] and name not in self._said:
            name = next((n for n in claim.also if self._is_meant(n, claim)), name)
        holder = self._owner.get(name)
        if holder is not None and holder[1] == name:  # of another source; the first one keeps it
            name, why = f"{name}@{source}", f"the source {holder[0]} has a target called {name!r}"
        self._given[own], self._owner[name] = name, own
        for each in {looks(name), looks(own[1])}:
            self._alike.setdefault(each, {})[own] = None
        return name, why

    def take_back(self, own: Own) -> None:
        """Release a target's name, since it is gone or is about to get another."""
        name = self._given.pop(own, None)
        if name is None:
            return
        for also in self._meant.pop(own, ()):
            self._also[also].pop(own, None)
            if not self._also[also]:
                del self._also[also]
        if self._owner.get(name) == own:
            del self._owner[name]
        for each in {looks(name), looks(own[1])}:
            self._alike[each].pop(own, None)
            if not self._alike[each]:
                del self._alike[each]

    def _is_meant(self, name: str, claim: Claim) -> bool:
        """Return whether the configuration means this target by a name that is not its own: no
        other target has the name or could be meant, and the declared target accepts this one."""
        said = None if self._settings is None else self._settings.targets.get(name)
        if name not in self._said or name in self._owner or len(self._also[name]) > 1:
            return False
        return said is None or not said.match or _fits(said.match, claim.identity)

    def alone(self, also: Iterable[str]) -> list[Own]:
        """Return the targets that are the only ones that one of these names may mean, and that
        have their own name now."""
        alone = [tuple(self._also.get(name, ())) for name in also]
        return [one[0] for one in alone if len(one) == 1 and self.of(one[0]) == one[0][1]]

    def displaced(self, own: Own, claim: Claim) -> list[Own]:
        """Return the targets that have to be renamed after ``own`` appeared: by a label, they have
        a name that looks like its own name, or one by which the configuration may mean it."""
        look = looks(own[1])
        found = [other for other in self._alike.get(look, ()) if looks(self._given[other]) == look]
        found += [holder for name in claim.also if (holder := self._owner.get(name)) is not None]
        return [other for other in found if other != own and self._given[other] != other[1]]

    def accepts(self, name: str, claim: Claim) -> bool:
        """Return whether a declared target accepts, by ``match``, the target of a claim."""
        said = None if self._settings is None else self._settings.targets.get(name)
        return said is not None and _fits(said.match, claim.identity)

    def _refusal(self, own: Own, name: str, claim: Claim) -> str | None:
        asked = f"the label tocsin.name asks for {name[:100]!r}"
        if reason := bad_name(name):
            return f"{asked}: {reason}"
        suffix = f"@{own[0]}"
        # If a source does not name its targets like this, give() may still do so.
        if "@" in (name.removesuffix(suffix) if own[1].endswith(suffix) else name):
            return f"{asked}: '@' may only stand before the name of a source"
        look = looks(name)
        kept = name if self._settings and name in self._settings.targets else self._kept.get(look)
        accepted = self.accepts(name, claim)
        if kept is not None and not (kept == name and accepted):
            remedy = f"match in [targets.{kept}] makes a container that target"
            return f"{asked}, which the configuration uses; {remedy}"
        if claim.by_image and not accepted:
            remedy = f"name the container so, or accept its image by match in [targets.{name}]"
            return f"{asked} and seems to come with the image; {remedy}"
        if any(other != own for other in self._alike.get(look, ())):
            return f"{asked}, which is the name of another target"
        return None


def looks(name: str) -> str:
    """Return what names that people take for the same have in common: case and the form of
    characters (Unicode NFKC) are ignored."""
    return unicodedata.normalize("NFKC", name).casefold()


def _fits(match: Mapping[str, str], identity: Mapping[str, str]) -> bool:
    """Return whether all patterns match; without any pattern, nothing does."""
    return bool(match) and all(
        fnmatchcase(identity.get(key, ""), pattern) for key, pattern in match.items()
    )
