"""What a plugin host calls at the core, for the runtimes that are open in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from attrs import define, field

from tocsin.core.contracts.context import Context
from tocsin.core.contracts.model import Event, Result, Target
from tocsin.core.contracts.notifier import Controls
from tocsin.core.contracts.service import ServiceContext
from tocsin.core.contracts.source import Claim, Sink
from tocsin.core.hosts.core_views import CoreViews
from tocsin.core.hosts.output import Credit

_REPORTS: dict[str, Any] = {
    "discovered": tuple[Target, Mapping[str, Mapping[str, Any]] | None, Claim | None],
    "observed": tuple[str, Result, datetime | None],
    "happened": tuple[Event],
    "retired": tuple[str, str],
    "synced": tuple[Collection[str]],
    "impaired": tuple[str],
}
"""Methods of a sink, and the types of their arguments."""

BURST, RATE = 100.0, 1.0
"""Lines that a host may log at once, and per second afterwards; further ones are dropped."""

LEVELS = ("debug", "info", "warning", "error")


@define(eq=False)
class CoreCalls:
    """The core's side of the runtimes of one host, by their numbers.

    Attributes:
        contexts: the contexts of runtimes.
        sinks: the sinks of sources that run.
        controls: what people may do through channels that listen.
        streams: where the chunks of open streams go.
        views: the views of the running tocsin that routes read.
        lines: lines that the host may still log.
    """

    contexts: dict[int, Context | ServiceContext] = field(factory=dict)
    sinks: dict[int, Sink] = field(factory=dict)
    controls: dict[int, Controls] = field(factory=dict)
    streams: dict[int, Callable[[bytes], object]] = field(factory=dict)
    views: CoreViews = field(factory=CoreViews)
    lines: Credit = field(factory=lambda: Credit(BURST, RATE))
