"""The testing kit for plugin authors. Its pytest fixtures (``tocsin_clock``, ``tocsin_context``,
``tocsin_service_context``, ``tocsin_sink``, ``tocsin_notifier``, ``tocsin_manager``) are there
wherever tocsin is installed."""

from __future__ import annotations

from tocsin.core.testing.alerting import (
    check_notifier_conformance,
    check_refusal,
    check_rule_conformance,
    message_of,
)
from tocsin.core.testing.clock import SettableClock
from tocsin.core.testing.command import check_command_conformance
from tocsin.core.testing.conformance import (
    check_probe_conformance,
    check_push_conformance,
    check_result,
    check_source_conformance,
)
from tocsin.core.testing.context import RecordingContext
from tocsin.core.testing.controls import RecordingControls
from tocsin.core.testing.doctor import check_doctor_conformance
from tocsin.core.testing.history import check_history_conformance
from tocsin.core.testing.notifier import RecordingNotifier
from tocsin.core.testing.observer import check_observer_conformance
from tocsin.core.testing.panel import check_panel_conformance
from tocsin.core.testing.reviewer import check_reviewer_conformance
from tocsin.core.testing.route import check_route_conformance
from tocsin.core.testing.service import check_service_conformance
from tocsin.core.testing.sink import RecordingSink
from tocsin.core.testing.view import FixedSystem

__all__ = [
    "FixedSystem",
    "RecordingContext",
    "RecordingControls",
    "RecordingNotifier",
    "RecordingSink",
    "SettableClock",
    "check_command_conformance",
    "check_doctor_conformance",
    "check_history_conformance",
    "check_notifier_conformance",
    "check_observer_conformance",
    "check_panel_conformance",
    "check_probe_conformance",
    "check_push_conformance",
    "check_refusal",
    "check_result",
    "check_reviewer_conformance",
    "check_route_conformance",
    "check_rule_conformance",
    "check_service_conformance",
    "check_source_conformance",
    "message_of",
]
