"""Builds objects of plugins' classes from TOML tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from cattrs import ClassValidationError

from tocsin.core.config.errors import ConfigProblem, Path, Problems, dotted
from tocsin.core.config.explain import explain, own_fault
from tocsin.core.config.structure import CONVERTER
from tocsin.core.plugin.faults import PluginFault, call_with_deadline, describe, is_ours
from tocsin.core.shapes import check_instance

DEADLINE = 20.0
"""Seconds that the constructor of a plugin's class may take."""


class OptionsRefused(ValueError):
    """A plugin in another process refuses options.

    Args:
        entries: the errors: a path within the options, and a sentence.
    """

    def __init__(self, entries: Iterable[tuple[Path, str]]) -> None:
        self.entries = tuple(entries)
        super().__init__("; ".join(text for _, text in self.entries))


class Hosting(ABC):
    """Stands for a class whose plugin runs in another process; the attribute ``tocsin_hosting``
    of the class that the core uses in its place."""

    @abstractmethod
    def bound(self, instance: Any, table: Mapping[str, Any], *, wait: bool) -> Any:
        """Return an instance, with its options checked by the plugin.

        Args:
            instance: an instance of the class that the core uses.
            table: the options, as they were given.
            wait: whether to wait for the plugin; if not, it checks the options when they are first
                used.

        Raises:
            OptionsRefused: the plugin refuses them.
            PluginFault: the plugin is at fault.
        """


def construct(
    cls: Any,
    table: Mapping[str, Any],
    path: Path,
    problems: Problems,
    *,
    asked_for: bool = True,
    also: Collection[str] = (),
) -> tuple[Any, str | None]:
    """Build an instance of a plugin's class.

    Args:
        cls: the class. A third-party class is built in a thread of its own, with a deadline.
        table: the options.
        path: where the options are in the file.
        problems: collects the errors in the options.
        asked_for: whether a person wrote the table. If not, any error is the plugin's fault.
        also: further keys that the table may have, for the error about an unknown one.

    Returns:
        The instance, or None; and why there is none, as a clause, if that is the plugin's fault.
    """
    hosting = getattr(cls, "tocsin_hosting", None)
    further: list[tuple[Path, str]] = []

    def make() -> Any:
        try:
            instance = CONVERTER.structure(table, cls)
        except ClassValidationError:
            if isinstance(hosting, Hosting) and not problems.is_live:
                further.extend(_refused_by(hosting, table))
            raise
        if isinstance(hosting, Hosting):
            instance = hosting.bound(instance, table, wait=not problems.is_live)
        check_instance(instance)
        return instance

    try:
        if is_ours(cls):
            return make(), None
        return call_with_deadline(make, DEADLINE, "it was built"), None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - third-party code may raise anything
        cause = error.__cause__ if isinstance(error, PluginFault) and error.__cause__ else error
        when = "" if cause is error else "while it was built"
        if (fault := own_fault(cause, when)) is not None:
            return None, fault
        said = problems if asked_for else Problems(problems.file)
        before = len(said.found)
        if isinstance(cause, OptionsRefused):
            for within, text in cause.entries:
                said.add((*path, *within), text)
        else:
            explain(cause, path, said, also)
            places = {p.path for p in said.found[before:]}
            for within, text in further:  # what only the plugin's own validators know
                if dotted((*path, *within)) not in places:
                    said.add((*path, *within), text)
        if asked_for:
            return None, None
        return None, "; ".join(map(str, map(_of_table, said.found[before:]))) or describe(cause)


def _refused_by(hosting: Hosting, table: Mapping[str, Any]) -> tuple[tuple[Path, str], ...]:
    """Return the errors that a plugin in another process finds in options that are wrong anyway."""
    try:
        hosting.bound(None, table, wait=True)
    except OptionsRefused as refused:
        return refused.entries
    except Exception:  # noqa: BLE001 - whatever it is, the known errors are reported
        return ()
    return ()


def _of_table(problem: ConfigProblem) -> str:
    """Return an error with its table and option, as in "[services.wall] file must be given"."""
    table, _, option = problem.path.rpartition(".")
    return f"[{table}] {option}: {problem.message}" if table else problem.message
