"""The contract of checks of an installation, which ``tocsin doctor`` runs."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias, TypeVar

from attrs import Factory, field, frozen

from tocsin.core.contracts.context import Context, Json

T = TypeVar("T")


class FindingStatus(StrEnum):
    """What a finding means.

    Attributes:
        OK: all is well.
        WARNING: something is missing or impaired.
        PROBLEM: tocsin, or a part of it, cannot work.
    """

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@frozen(kw_only=True)
class Finding:
    """What a check of the installation found.

    Attributes:
        status: with a problem, ``tocsin doctor`` ends with exit status 1.
        message: one sentence or clause.
        remedy: what a person can do, as a clause; shown after the message.
        subject: what it is about, such as the name of a source; None: the name of the check.
    """

    status: FindingStatus
    message: str
    remedy: str = ""
    subject: str | None = None

    @classmethod
    def ok(cls, message: str, *, subject: str | None = None) -> Finding:
        """Return a finding that all is well."""
        return cls(status=FindingStatus.OK, message=message, subject=subject)

    @classmethod
    def warning(cls, message: str, remedy: str = "", *, subject: str | None = None) -> Finding:
        """Return a finding that something is missing or impaired."""
        return cls(status=FindingStatus.WARNING, message=message, remedy=remedy, subject=subject)

    @classmethod
    def problem(cls, message: str, remedy: str = "", *, subject: str | None = None) -> Finding:
        """Return a finding that tocsin, or this part of it, cannot work."""
        return cls(status=FindingStatus.PROBLEM, message=message, remedy=remedy, subject=subject)


@frozen(kw_only=True)
class Installation:
    """The installation that is checked. tocsin may or may not run meanwhile.

    Attributes:
        data_dir: tocsin's data directory; it may not exist yet.
        configuration: the whole configuration, with defaults filled in and secrets hidden, as
            ``tocsin config show`` prints it.
        parts: what is configured of the plugin: pairs of a name (of a check: ``target/check``) and
            the options.
    """

    data_dir: Path
    configuration: Mapping[str, Json] = Factory(dict)
    parts: tuple[tuple[str, object], ...] = ()

    def parts_of(self, cls: type[T]) -> dict[str, T]:
        """Return the parts of one class of the plugin, by name.

        Args:
            cls: a class that the plugin provides, such as its notifier.
        """
        return {name: part for name, part in self.parts if isinstance(part, cls)}


DoctorHandler: TypeAlias = Callable[[Context, Installation], Awaitable[Sequence[Finding]]]


def _check_handler(_: object, __: object, handler: DoctorHandler) -> None:
    name = getattr(handler, "__name__", type(handler).__name__)
    if not inspect.iscoroutinefunction(handler):
        raise ValueError(f"the handler {name} is not async; define it with async def")
    try:
        inspect.signature(handler).bind(None, None)
    except TypeError:
        raise ValueError(
            f"the handler {name} does not take what it is given; define it as async def "
            f"{name}(context, installation)"
        ) from None


@frozen(kw_only=True)
class DoctorCheck:
    """A check of the installation.

    Attributes:
        name: shown before its findings: one word.
        handler: an async function that returns the findings, for 15 seconds at most; its docstring
            says what it checks.
    """

    name: str
    handler: DoctorHandler = field(validator=_check_handler)
