"""Faults of plugins, their description, and a deadline for synchronous calls of plugins."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from tocsin.core.contracts.base import ActionError, ServiceError
from tocsin.core.contracts.notifier import NotifyError

T = TypeVar("T")

LONGEST = 20_000
"""Maximum number of characters of an error's text that are read; far fewer are shown."""


def is_ours(cls: type) -> bool:
    """Return whether a class is part of tocsin, and not a plugin author's."""
    return cls.__module__.partition(".")[0] == "tocsin"


RESTS = "does not run, since it"
"""How the fault of a call begins whose plugin host was ended, and is not started again yet. What
the host was ended for is a fault of its own."""


class PluginFault(Exception):
    """A plugin broke its contract. The message completes the sentence "plugin x …".

    Args:
        message: the clause.
        severe: whether the fault (a blocked loop, a coroutine that cannot be cancelled, a leak)
            costs the plugin its thread; other faults end only the one run.
        trace: the traceback of its cause, if it arose in another process.
    """

    def __init__(self, message: str, *, severe: bool = False, trace: str = "") -> None:
        super().__init__(message)
        self.severe = severe
        self.trace = trace


class InvalidReceipt(PluginFault):
    """A notifier returned no valid receipt; the message may have been sent, so it is not
    divided."""


def describe(error: BaseException, when: str = "") -> str:
    """Return a clause that describes an error inside a plugin. Never raises.

    Args:
        error: the error.
        when: what happened meanwhile ("while it was imported"). The clause has it before the
            error's own words, which may end in a remedy.
    """
    when = f" {when}" if when else ""
    try:
        if not when and isinstance(error, PluginFault | ActionError | NotifyError | ServiceError):
            return str(error)[:LONGEST]
        if isinstance(error, SystemExit):
            code = error.code if error.code is not None else ""
            return f"called sys.exit({code})"[:300] + when
        text = " ".join(str(error)[:LONGEST].split())[:300]
    except BaseException:  # noqa: BLE001 - the error's __str__ itself fails, in whatever way
        text = ""
    return f"raised {type(error).__name__}{when}" + (f": {text}" if text else "")


def plain_error(
    error: ActionError | NotifyError | ServiceError,
) -> ActionError | NotifyError | ServiceError | PluginFault:
    """Return the error as an object of exactly tocsin's class, with valid field types.

    An object of a plugin's subclass may run the plugin's code whenever it is read.

    Returns:
        The error; a PluginFault if the original cannot be read.
    """
    try:
        text = str(error)[:LONGEST]
        if isinstance(error, ActionError):
            return ActionError(text, missing=bool(error.missing))
        if isinstance(error, ServiceError):
            return ServiceError(text, permanent=bool(error.permanent))
        return NotifyError(
            text,
            permanent=bool(error.permanent),
            retry_after=error.retry_after,
            disable=bool(error.disable),
            everything=bool(error.everything),
            answered=bool(error.answered),
        )
    except BaseException as wrong:  # noqa: BLE001 - code of the plugin runs here
        return PluginFault(
            f"raised a {type(error).__name__} that cannot be read ({describe(wrong)})"
        )


def call_with_deadline(function: Callable[[], T], seconds: float, doing: str) -> T:
    """Call a plugin's synchronous function in a new thread and wait at most ``seconds``.

    Args:
        function: the function.
        seconds: maximum time to wait, in seconds.
        doing: what happens meanwhile, as a clause for the error ("it was imported").

    Raises:
        PluginFault: it raised (``SystemExit`` included) or did not return in time; in the latter
            case its daemon thread continues.
    """
    outcome: Future[T] = Future()

    def call() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:  # noqa: BLE001 - sys.exit in a plugin must not end tocsin
            outcome.set_exception(error)

    threading.Thread(target=call, name=f"tocsin {doing}", daemon=True).start()
    try:
        return outcome.result(seconds)
    except PluginFault:
        raise
    except TimeoutError as error:
        if outcome.done():
            raise PluginFault(describe(error, f"while {doing}")) from error
        raise PluginFault(f"did not return within {seconds:g} s while {doing}") from None
    except BaseException as error:
        if not outcome.done():
            raise  # the core's own interruption, not the plugin's
        raise PluginFault(describe(error, f"while {doing}")) from error
