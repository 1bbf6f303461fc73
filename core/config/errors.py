"""What is wrong with a configuration, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from attrs import define, field, frozen


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

    def missing(self, name: str) -> str | None:
        """Why no probe of that name is there; None where nobody has heard of it."""


Path = tuple[str, ...]


@define
class Problems:
    """Collects the errors of one file; ``locate`` finds the line of a path."""

    file: str
    lines: Mapping[Path, int] = field(factory=dict)
    found: list[ConfigProblem] = field(factory=list)

    def add(self, path: Path, message: str) -> None:
        """Note an error at a path; its line is that of the nearest part that has one."""
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


def dotted(path: Path) -> str:
    """A path the way people write it: ``targets.web.checks."a b".port``."""
    plain = [p if p and all(c.isalnum() or c in "-_[]" for c in p) else f'"{p}"' for p in path]
    return ".".join(plain)
