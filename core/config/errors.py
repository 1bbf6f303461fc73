"""Errors of a configuration, with the places where they are."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

from attrs import define, evolve, field, frozen


@frozen(kw_only=True)
class ConfigProblem:
    """One error: file (or ``environment``), line if known, dotted path, and a sentence."""

    file: str
    line: int | None = None
    path: str = ""
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class ConfigError(Exception):
    """The configuration cannot be used. ``problems`` lists everything that is wrong with it."""

    def __init__(self, problems: tuple[ConfigProblem, ...]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


class CatalogEntry(Protocol):
    """A class that a plugin provides, and the plugin's name."""

    @property
    def cls(self) -> Any:
        """Return the class."""

    @property
    def plugin(self) -> str:
        """Return the plugin's name."""


class Catalog(Protocol):
    """What the configuration needs to know about plugins. PluginManager implements it."""

    @property
    def probes(self) -> Mapping[str, CatalogEntry]:
        """Return the probes by name."""

    @property
    def sources(self) -> Mapping[str, CatalogEntry]:
        """Return the sources by name."""

    @property
    def rules(self) -> Mapping[str, CatalogEntry]:
        """Return the rules by name."""

    @property
    def notifiers(self) -> Mapping[str, CatalogEntry]:
        """Return the notifiers by name."""

    @property
    def services(self) -> Mapping[str, CatalogEntry]:
        """Return the services by name."""

    @property
    def observers(self) -> Mapping[str, CatalogEntry]:
        """Return the observers by name."""

    @property
    def reviewers(self) -> Mapping[str, CatalogEntry]:
        """Return the reviewers by name."""

    @property
    def histories(self) -> Mapping[str, CatalogEntry]:
        """Return the histories by name, tocsin's own first."""

    @property
    def hosted_histories(self) -> Mapping[str, str]:
        """Return the plugins of histories that cannot be used, since they run in hosts, by name of
        the history."""

    @property
    def inline(self) -> Collection[str]:
        """Return the names of the plugins that run in the core's own event loop."""

    def missing(self, name: str) -> str | None:
        """Return why a known item is not available; None if the name is unknown."""

    def unloaded(self, *, disabled: bool = False) -> str | None:
        """Return which plugin did not load and why, as a clause; None if all did.

        Args:
            disabled: whether plugins that are disabled count as well.
        """


Path = tuple[str, ...]


@define
class Problems:
    """Collects the errors of one file.

    Errors that only follow from another one are suppressed: none is reported for a key whose value
    could not be read, nor for a missing key in a table of which a statement was left out. ``lines``
    maps key paths to line numbers, ``variables`` those of values that come from environment
    variables to the names of these.
    """

    file: str
    lines: Mapping[Path, int] = field(factory=dict)
    variables: dict[Path, str] = field(factory=dict)
    found: list[ConfigProblem] = field(factory=list)
    is_live: bool = False
    """Whether the core runs meanwhile, so that nothing is waited for: a plugin in another process
    checks its options when they are first used."""
    _spoilt: set[Path] = field(factory=set)
    _incomplete: set[Path] = field(factory=set)

    def leave_out(self, table: Path, key: Path | None) -> None:
        """Remember that a statement of a table was left out, with its key if that is known."""
        if key is None:
            self._incomplete.add(table)
        else:
            self._spoilt.add((*table, *key))

    def touches(self, section: str) -> bool:
        """Return whether a top-level section has an error, or a statement of it was left out."""
        left_out = {path[:1] for path in (*self._spoilt, *self._incomplete)}
        return (section,) in left_out or any(
            problem.path.split(".")[0] == section for problem in self.found
        )

    def missing(self, path: Path, message: str) -> None:
        """Report that a required key is missing."""
        if path[:-1] not in self._incomplete:
            self.add(path, message)

    def add(self, path: Path, message: str) -> None:
        """Report an error at a path, or at the variable that gave the value. Its line is that of
        the longest part with a known line."""
        parts = [path[:length] for length in range(len(path), 0, -1)]
        if any(part in self._spoilt for part in parts):
            return
        for part in parts:
            if part in self.variables:
                self.environment(self.variables[part], message)
                return
        line = next((self.lines[part] for part in parts if part in self.lines), None)
        self.found.append(
            ConfigProblem(file=self.file, line=line, path=dotted(path), message=message)
        )

    def at_line(self, line: int | None, message: str) -> None:
        """Report an error at a line."""
        self.found.append(ConfigProblem(file=self.file, line=line, message=message))

    def environment(self, name: str, message: str) -> None:
        """Report an error in an environment variable."""
        self.found.append(ConfigProblem(file="environment", path=name, message=message))

    def sorted(self, secrets: Iterable[str]) -> tuple[ConfigProblem, ...]:
        """Return the errors sorted by place, without duplicates and the given secrets."""
        from tocsin.core.hiding import Known, hide  # imported late: most commands find no error

        known = Known(secrets)
        told = {evolve(p, message=hide(p.message, known)): None for p in self.found}
        return tuple(sorted(told, key=lambda p: (p.line or 0, p.path, p.message)))


def dotted(path: Path) -> str:
    """Return a path as people write it: ``targets.web.checks."a b".port``."""
    text = ""
    for part in path:
        if part.startswith("[") and part[1:-1].isdigit():
            text += part
        else:
            plain = part and all(c.isalnum() or c in "-_" for c in part)
            text += ("." if text else "") + (part if plain else json.dumps(part))
    return text
