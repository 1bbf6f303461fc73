"""What is wrong with a configuration, and where."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from attrs import define, evolve, field, frozen

from tocsin.core.hiding import Known, hide


@frozen(kw_only=True)
class ConfigProblem:
    """One error: ``file`` (or ``environment``), ``line`` if known, the dotted path, a sentence."""

    file: str
    line: int | None = None
    path: str = ""
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class ConfigError(Exception):
    """The configuration cannot be used; ``problems`` lists everything that is wrong with it."""

    def __init__(self, problems: tuple[ConfigProblem, ...]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


class CatalogEntry(Protocol):
    """A plugin's class, and the plugin's name."""

    @property
    def cls(self) -> Any:
        """The class."""

    @property
    def plugin(self) -> str:
        """The plugin's name."""


class Catalog(Protocol):
    """What plugins provide, as the configuration needs to know it."""

    @property
    def probes(self) -> Mapping[str, CatalogEntry]:
        """Probes by name."""

    @property
    def sources(self) -> Mapping[str, CatalogEntry]:
        """Sources by name."""

    @property
    def rules(self) -> Mapping[str, CatalogEntry]:
        """Rules by name."""

    @property
    def notifiers(self) -> Mapping[str, CatalogEntry]:
        """Notifiers by name."""

    @property
    def services(self) -> Mapping[str, CatalogEntry]:
        """Services by name."""

    @property
    def observers(self) -> Mapping[str, CatalogEntry]:
        """Observers by name."""

    def missing(self, name: str) -> str | None:
        """Why nothing of that name is there; None where nobody has heard of it."""


Path = tuple[str, ...]


@define
class Problems:
    """Collects the errors of one file; ``lines`` maps paths to lines.

    What only follows from an error noted already is kept out: nothing is said about a key whose
    value could not be read, nor that a key is missing where a statement was left out.
    """

    file: str
    lines: Mapping[Path, int] = field(factory=dict)
    found: list[ConfigProblem] = field(factory=list)
    _spoilt: set[Path] = field(factory=set)
    _incomplete: set[Path] = field(factory=set)

    def leave_out(self, table: Path, key: Path | None) -> None:
        """Remember that a statement of a table was left out, of which perhaps the key is known."""
        if key is None:
            self._incomplete.add(table)
        else:
            self._spoilt.add((*table, *key))

    def touches(self, section: str) -> bool:
        """Whether anything was noted in, or left out of, a top-level section."""
        left_out = {path[:1] for path in (*self._spoilt, *self._incomplete)}
        return (section,) in left_out or any(
            problem.path.split(".")[0] == section for problem in self.found
        )

    def missing(self, path: Path, message: str) -> None:
        """Note that something must be given."""
        if path[:-1] not in self._incomplete:
            self.add(path, message)

    def add(self, path: Path, message: str) -> None:
        """Note an error at a path; its line is that of the nearest part that has one."""
        if any(path[:length] in self._spoilt for length in range(1, len(path) + 1)):
            return
        line = next(
            (self.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.lines), None
        )
        self.found.append(
            ConfigProblem(file=self.file, line=line, path=dotted(path), message=message)
        )

    def at_line(self, line: int | None, message: str) -> None:
        """Note an error at a line."""
        self.found.append(ConfigProblem(file=self.file, line=line, message=message))

    def environment(self, name: str, message: str) -> None:
        """Note an error in an environment variable."""
        self.found.append(ConfigProblem(file="environment", path=name, message=message))

    def sorted(self, secrets: Iterable[str]) -> tuple[ConfigProblem, ...]:
        """Everything found, once each, by place, without the given secrets."""
        known = Known(secrets)
        told = {evolve(p, message=hide(p.message, known)): None for p in self.found}
        return tuple(sorted(told, key=lambda p: (p.line or 0, p.path, p.message)))


def dotted(path: Path) -> str:
    """A path the way people write it: ``targets.web.checks."a b".port``."""
    text = ""
    for part in path:
        if part.startswith("[") and part[1:-1].isdigit():
            text += part
        else:
            plain = part and all(c.isalnum() or c in "-_" for c in part)
            text += ("." if text else "") + (part if plain else json.dumps(part))
    return text
