"""tocsin, an alarm bell for container stacks. This module is the whole public API for plugins."""

from __future__ import annotations

from tocsin.core.contracts import (
    ActionError,
    Probe,
    PushProbe,
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
    Observation,
    Reason,
    Result,
    Status,
    Target,
)
from tocsin.core.notices import (
    Kind,
    Message,
    Notice,
    Notifier,
    NotifyError,
    Receipt,
)
from tocsin.core.units import Bytes, Seconds, format_duration, parse_duration, parse_size
from tocsin.core.verdicts import History, Rule, Severity, Verdict

__all__ = [
    "ActionError",
    "Beat",
    "Bytes",
    "Container",
    "Event",
    "History",
    "Kind",
    "LogLine",
    "Message",
    "Notice",
    "Notifier",
    "NotifyError",
    "Observation",
    "Probe",
    "PushProbe",
    "Reason",
    "Receipt",
    "Result",
    "Rule",
    "Seconds",
    "Secret",
    "Service",
    "Severity",
    "Sink",
    "Source",
    "Status",
    "Target",
    "Verdict",
    "format_duration",
    "hookimpl",
    "parse_duration",
    "parse_size",
    "private",
]
