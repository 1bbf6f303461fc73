"""Base classes of the plugin kinds.

A plugin class is an attrs class; its fields are the options a person writes in ``tocsin.toml``
(``field(init=False)`` keeps one private). Types may be plain, ``Seconds``, ``Bytes``, ``Secret``,
enums, lists, mappings, or nested attrs classes.
"""

from __future__ import annotations

from typing import Any

from attrs import field, frozen


class Secret(str):
    """Text that must never be shown: ``str``, ``repr``, formatting and logs give ``'***'``. A
    plugin gets the plain text from :meth:`reveal` at the moment it needs it."""

    def reveal(self) -> str:
        """Return the plain text."""
        return str.__str__(self)

    def __repr__(self) -> str:
        return "'***'"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)


@frozen
class Variable:
    """An environment variable that gives an option.

    Attributes:
        name: name of the variable.
        only_with: another option: the variable does not count where the file sets that option to
            something else than the option's own variable gives. A password that belongs to the
            host of one variable is thus not sent to another host.
        overrides: whether the variable counts also where the file sets the option.
        default: another variable, which counts where neither this one nor the file sets the option.
    """

    name: str
    only_with: str | None = None
    overrides: bool = False
    default: str | None = None


class ActionError(Exception):
    """What a person asked for cannot be done; the message is one clear sentence.

    Sources raise it from ``logs``, ``restart`` and ``inspect``, handlers of routes to refuse a
    request, and :class:`Controls` from each of their methods.

    Args:
        message: the sentence.
        missing: what it is about does not exist, or has no such thing (a route answers 404);
            False: it is refused (409).
    """

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


class ServiceError(Exception):
    """A service cannot run; the message is one clear sentence with a remedy.

    Args:
        message: the sentence.
        permanent: the cause does not disappear without a person (a package is not installed): the
            service is not started again until the configuration is reloaded.
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


def private(**kwargs: Any) -> Any:
    """Return an attrs field that is not an option (``init=False``), for plugins of tests, which
    record in their options. Takes the arguments of ``attrs.field``."""
    return field(init=False, repr=False, eq=False, **kwargs)
