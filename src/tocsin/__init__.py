"""tocsin, an alarm bell for container stacks. This module is the whole public API for plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.core.lazy import on_demand

if TYPE_CHECKING:
    from tocsin.core.cli.client import ApiClient, api_client
    from tocsin.core.contracts.base import ActionError, Secret, ServiceError, Variable
    from tocsin.core.contracts.container import REPLICATED, Container, Reason
    from tocsin.core.contracts.context import Context, Json, Log, PluginClock, Storage
    from tocsin.core.contracts.doctor import (
        DoctorCheck,
        Finding,
        FindingStatus,
        Installation,
    )
    from tocsin.core.contracts.message import Kind, Message, Notice, TargetStatus
    from tocsin.core.contracts.metric import Metric, MetricKind
    from tocsin.core.contracts.model import (
        CheckError,
        Event,
        Health,
        Heartbeat,
        LogLine,
        Observation,
        Result,
        Status,
        Target,
    )
    from tocsin.core.contracts.notifier import (
        Controls,
        Notifier,
        NotifierRuntime,
        NotifyError,
        Receipt,
    )
    from tocsin.core.contracts.observer import AlertChange, Observer, ObserverRuntime
    from tocsin.core.contracts.panel import Panel, PanelChart, PanelCurve, PanelFact
    from tocsin.core.contracts.probe import Probe, ProbeRuntime, PushProbe
    from tocsin.core.contracts.rendered import Line, RenderedMessage, Section
    from tocsin.core.contracts.reviewer import Reviewer, ReviewerRuntime, ReviewRequest
    from tocsin.core.contracts.route import Request, Role, Route, Routes
    from tocsin.core.contracts.rule import History, Rule, Severity, Verdict, VerdictState
    from tocsin.core.contracts.service import Service, ServiceContext
    from tocsin.core.contracts.source import Action, Claim, Sink, Source, SourceRuntime
    from tocsin.core.contracts.view import (
        AlertSnapshot,
        ChannelSnapshot,
        CheckSnapshot,
        ComponentSnapshot,
        PluginSnapshot,
        Statistics,
        SystemView,
        TargetSnapshot,
    )
    from tocsin.core.encoding import decode_text
    from tocsin.core.hiding import clean as clean_text
    from tocsin.core.peers.addresses import PublicAddresses, is_public_address
    from tocsin.core.peers.errors import describe_error
    from tocsin.core.peers.patterns import check_pattern, search_text
    from tocsin.core.peers.retry_after import parse_retry_after
    from tocsin.core.peers.streams import open_stream
    from tocsin.core.peers.tls import tls_context
    from tocsin.core.plugin.hookspecs import hookimpl
    from tocsin.core.resolver.lookups import TocsinResolver, connect_to, look_up
    from tocsin.core.runtime.deadline import deadline
    from tocsin.core.runtime.descriptors import restore_limits
    from tocsin.core.runtime.owned import program_umask
    from tocsin.core.runtime.shortage import own_shortage
    from tocsin.core.units import (
        Bytes,
        Seconds,
        format_bytes,
        format_duration,
        parse_duration,
        parse_size,
    )
    from tocsin.plugins.dsn import check_dsn, usable_dsn
else:
    __getattr__ = on_demand(
        __name__,
        {
            "core.cli.client": "ApiClient api_client",
            "core.contracts.base": "ActionError Secret ServiceError Variable",
            "core.contracts.context": "Context Json Log PluginClock Storage",
            "core.contracts.panel": "Panel PanelChart PanelCurve PanelFact",
            "core.contracts.doctor": "DoctorCheck Finding FindingStatus Installation",
            "core.contracts.metric": "Metric MetricKind",
            "core.contracts.probe": "Probe ProbeRuntime PushProbe",
            "core.contracts.service": "Service ServiceContext",
            "core.contracts.source": "Action Claim Sink Source SourceRuntime",
            "core.runtime.deadline": "deadline",
            "core.runtime.descriptors": "restore_limits",
            "plugins.dsn": "check_dsn usable_dsn",
            "core.encoding": "decode_text",
            "core.hiding": "clean=clean_text",
            "core.peers.addresses": "PublicAddresses is_public_address",
            "core.peers.errors": "describe_error",
            "core.peers.patterns": "check_pattern search_text",
            "core.peers.retry_after": "parse_retry_after",
            "core.peers.streams": "open_stream",
            "core.peers.tls": "tls_context",
            "core.plugin.hookspecs": "hookimpl",
            "core.resolver.lookups": "TocsinResolver connect_to look_up",
            "core.contracts.container": "REPLICATED Container Reason",
            "core.contracts.message": "Kind Message Notice TargetStatus",
            "core.contracts.model": (
                "CheckError Event Health Heartbeat LogLine Observation Result Status Target"
            ),
            "core.contracts.notifier": "Controls Notifier NotifierRuntime NotifyError Receipt",
            "core.contracts.observer": "AlertChange Observer ObserverRuntime",
            "core.runtime.owned": "program_umask",
            "core.runtime.shortage": "own_shortage",
            "core.units": "Bytes Seconds format_bytes format_duration parse_duration parse_size",
            "core.contracts.reviewer": "Reviewer ReviewerRuntime ReviewRequest",
            "core.contracts.route": "Request Role Route Routes",
            "core.contracts.view": (
                "AlertSnapshot ChannelSnapshot CheckSnapshot ComponentSnapshot PluginSnapshot "
                "Statistics SystemView TargetSnapshot"
            ),
            "core.contracts.rule": "History Rule Severity Verdict VerdictState",
            "core.contracts.rendered": "Line Section RenderedMessage",
        },
        ended={
            "Endpoint": "implement tocsin_routes() -> Sequence[Route] in place of "
            "tocsin_endpoints, make a Route of each Endpoint, and take query and body as "
            "parameters of the handler",
            "private": "keep what changes in the runtime that open(context) returns",
        },
    )

__all__ = [
    "REPLICATED",
    "Action",
    "ActionError",
    "AlertChange",
    "AlertSnapshot",
    "ApiClient",
    "Bytes",
    "ChannelSnapshot",
    "CheckError",
    "CheckSnapshot",
    "Claim",
    "ComponentSnapshot",
    "Container",
    "Context",
    "Controls",
    "DoctorCheck",
    "Event",
    "Finding",
    "FindingStatus",
    "Health",
    "Heartbeat",
    "History",
    "Installation",
    "Json",
    "Kind",
    "Line",
    "Log",
    "LogLine",
    "Message",
    "Metric",
    "MetricKind",
    "Notice",
    "Notifier",
    "NotifierRuntime",
    "NotifyError",
    "Observation",
    "Observer",
    "ObserverRuntime",
    "Panel",
    "PanelChart",
    "PanelCurve",
    "PanelFact",
    "PluginClock",
    "PluginSnapshot",
    "Probe",
    "ProbeRuntime",
    "PublicAddresses",
    "PushProbe",
    "Reason",
    "Receipt",
    "RenderedMessage",
    "Request",
    "Result",
    "ReviewRequest",
    "Reviewer",
    "ReviewerRuntime",
    "Role",
    "Route",
    "Routes",
    "Rule",
    "Seconds",
    "Secret",
    "Section",
    "Service",
    "ServiceContext",
    "ServiceError",
    "Severity",
    "Sink",
    "Source",
    "SourceRuntime",
    "Statistics",
    "Status",
    "Storage",
    "SystemView",
    "Target",
    "TargetSnapshot",
    "TargetStatus",
    "TocsinResolver",
    "Variable",
    "Verdict",
    "VerdictState",
    "api_client",
    "check_dsn",
    "check_pattern",
    "clean_text",
    "connect_to",
    "deadline",
    "decode_text",
    "describe_error",
    "format_bytes",
    "format_duration",
    "hookimpl",
    "is_public_address",
    "look_up",
    "open_stream",
    "own_shortage",
    "parse_duration",
    "parse_retry_after",
    "parse_size",
    "program_umask",
    "restore_limits",
    "search_text",
    "tls_context",
    "usable_dsn",
]
