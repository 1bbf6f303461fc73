"""tocsin, an alarm bell for container stacks. This module is the whole public API for plugins."""

from __future__ import annotations

from tocsin.core.contracts import (
    ActionError,
    Notifier,
    Probe,
    PushProbe,
    Rule,
    Secret,
    Service,
    Sink,
    Source,
    private,
)
from tocsin.core.hookspecs import hookimpl
from tocsin.core.model import (
    Beat,
    Container,
    Event,
    LogLine,
    Reason,
    Result,
    Status,
    Target,
)
from tocsin.core.units import Bytes, Seconds, format_duration, parse_duration, parse_size

__all__ = [
    "ActionError",
    "Beat",
    "Bytes",
    "Container",
    "Event",
    "LogLine",
    "Notifier",
    "Probe",
    "PushProbe",
    "Reason",
    "Result",
    "Rule",
    "Seconds",
    "Secret",
    "Service",
    "Sink",
    "Source",
    "Status",
    "Target",
    "format_duration",
    "hookimpl",
    "parse_duration",
    "parse_size",
    "private",
]
