"""tocsin, an alarm bell for container stacks. This module is the whole public API for plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.core.lazy import on_demand

if TYPE_CHECKING:
    from tocsin.core.contracts import (
        ActionError,
        Claim,
        Probe,
        PushProbe,
        Secret,
        Service,
        ServiceError,
        Sink,
        Source,
        Surroundings,
        private,
    )
    from tocsin.core.deadline import deadline
    from tocsin.core.descriptors import restore_limits
    from tocsin.core.dsn import check_dsn, usable_dsn
    from tocsin.core.encoding import decode_text
    from tocsin.core.endpoints import Asked, Endpoint
    from tocsin.core.hiding import clean as clean_text
    from tocsin.core.hookspecs import hookimpl
    from tocsin.core.lookups import TocsinResolver, connect_to, look_up
    from tocsin.core.model import (
        REPLICATED,
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
        Controls,
        Kind,
        Message,
        Notice,
        Notifier,
        NotifyError,
        Receipt,
        Standing,
    )
    from tocsin.core.observing import AlertChange, Observer
    from tocsin.core.owned import program_umask
    from tocsin.core.shortage import own_shortage
    from tocsin.core.units import (
        Bytes,
        Seconds,
        format_bytes,
        format_duration,
        parse_duration,
        parse_size,
    )
    from tocsin.core.verdicts import History, Rule, Severity, Verdict
    from tocsin.core.words import Line, Section, Words
else:
    __getattr__ = on_demand(
        __name__,
        {
            "core.contracts": (
                "ActionError Claim Probe PushProbe Secret Service ServiceError Sink Source "
                "Surroundings private"
            ),
            "core.deadline": "deadline",
            "core.descriptors": "restore_limits",
            "core.dsn": "check_dsn usable_dsn",
            "core.encoding": "decode_text",
            "core.endpoints": "Asked Endpoint",
            "core.hiding": "clean=clean_text",
            "core.hookspecs": "hookimpl",
            "core.lookups": "TocsinResolver connect_to look_up",
            "core.model": (
                "REPLICATED Beat Container Event LogLine Observation Reason Result Status Target"
            ),
            "core.notices": "Controls Kind Message Notice Notifier NotifyError Receipt Standing",
            "core.observing": "AlertChange Observer",
            "core.owned": "program_umask",
            "core.shortage": "own_shortage",
            "core.units": "Bytes Seconds format_bytes format_duration parse_duration parse_size",
            "core.verdicts": "History Rule Severity Verdict",
            "core.words": "Line Section Words",
        },
    )

__all__ = [
    "REPLICATED",
    "ActionError",
    "AlertChange",
    "Asked",
    "Beat",
    "Bytes",
    "Claim",
    "Container",
    "Controls",
    "Endpoint",
    "Event",
    "History",
    "Kind",
    "Line",
    "LogLine",
    "Message",
    "Notice",
    "Notifier",
    "NotifyError",
    "Observation",
    "Observer",
    "Probe",
    "PushProbe",
    "Reason",
    "Receipt",
    "Result",
    "Rule",
    "Seconds",
    "Secret",
    "Section",
    "Service",
    "ServiceError",
    "Severity",
    "Sink",
    "Source",
    "Standing",
    "Status",
    "Surroundings",
    "Target",
    "TocsinResolver",
    "Verdict",
    "Words",
    "check_dsn",
    "clean_text",
    "connect_to",
    "deadline",
    "decode_text",
    "format_bytes",
    "format_duration",
    "hookimpl",
    "look_up",
    "own_shortage",
    "parse_duration",
    "parse_size",
    "private",
    "program_umask",
    "restore_limits",
    "usable_dsn",
]
