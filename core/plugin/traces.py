"""Tracebacks of what plugins raise: their own frames, for the log, also from plugin hosts."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import re
import threading
import traceback
from types import FrameType

from attrs import define, field

from tocsin.core.logs import get_logger
from tocsin.core.plugin.faults import PluginFault

log = get_logger(__name__)

MOST_FRAMES = 30
"""Maximum number of frames of one exception that are shown."""

LONGEST = 8000
"""Maximum length of a traceback, in characters; its end is kept."""

MOST_REASONS = 50
"""Maximum number of reasons of one plugin for which a traceback is logged."""

_AROUND = ("tocsin.core", asyncio.__name__, concurrent.futures.__name__, threading.__name__)
"""Packages whose frames stand around those of a plugin."""


def trace_of(error: BaseException) -> str:
    """Return the traceback of what caused a fault, with the plugin's own frames and those of what
    it called, as text; "" if no code of a plugin raised it. Never raises."""
    if isinstance(error, PluginFault):
        if error.trace:
            return error.trace
        cause = error.__cause__
        return "" if cause is None or cause is error else trace_of(cause)
    try:
        frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__)]
        first = next((at for at, (frame, _) in enumerate(frames) if not _is_around(frame)), None)
        if first is None:
            return ""
        own = [(frame, line) for frame, line in frames[first:] if not _is_core(frame)]
        stack = traceback.StackSummary.extract(iter(own[-MOST_FRAMES:]), lookup_lines=True)
        end = traceback.format_exception_only(error)
        text = "".join(("Traceback (most recent call last):\n", *stack.format(), *end)).rstrip()
        return text if len(text) <= LONGEST else f"…{text[-LONGEST:]}"
    except BaseException:  # noqa: BLE001 - the error's __str__ is code of the plugin
        return ""


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _is_around(frame: FrameType) -> bool:
    module = _module(frame)
    return any(module == name or module.startswith(f"{name}.") for name in _AROUND)


def _is_core(frame: FrameType) -> bool:
    return _module(frame).startswith("tocsin.core.")


@define
class Traces:
    """Logs tracebacks, at level debug, for each reason of a plugin once."""

    _reasons: dict[str, set[str]] = field(init=False, factory=dict)

    def note(self, plugin: str, reason: str, error: BaseException) -> None:
        """Log the traceback of an error, unless the reason is known.

        Args:
            plugin: the plugin at fault.
            reason: the clause that describes the error.
            error: the fault, or what the plugin raised.
        """
        if not logging.getLogger(__name__).isEnabledFor(logging.DEBUG):
            return
        known = self._reasons.setdefault(plugin, set())
        kind = re.sub(r"\d+", "", reason)
        if kind in known or len(known) >= MOST_REASONS or not (text := trace_of(error)):
            return
        known.add(kind)
        log.debug("a plugin raised an exception", plugin=plugin, reason=reason, exception=text)
