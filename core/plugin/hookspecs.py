"""The hooks. Each is synchronous and returns what a plugin provides: classes by name, or a list.

A plugin module is registered under the entry-point group ``tocsin`` and implements any of these
functions with ``@tocsin.hookimpl``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pluggy

from tocsin.core.contracts.doctor import DoctorCheck
from tocsin.core.contracts.history import HistoryStore
from tocsin.core.contracts.notifier import Notifier
from tocsin.core.contracts.observer import Observer
from tocsin.core.contracts.panel import Panel
from tocsin.core.contracts.probe import Probe, PushProbe
from tocsin.core.contracts.reviewer import Reviewer
from tocsin.core.contracts.route import Route
from tocsin.core.contracts.rule import Rule
from tocsin.core.contracts.service import Service
from tocsin.core.contracts.source import Source

if TYPE_CHECKING:
    import click

GROUP = "tocsin"
"""The entry-point group, and pluggy's name of the project."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)
"""Decorates the functions of a plugin's module that implement hooks."""


@hookspec
def tocsin_probes() -> Mapping[str, type[Probe] | type[PushProbe]]:
    """Return probes by the name that ``probe = "…"`` of a check uses."""
    raise NotImplementedError


@hookspec
def tocsin_sources() -> Mapping[str, type[Source]]:
    """Return sources by the name that ``probe = "…"`` of a ``[sources.…]`` table uses."""
    raise NotImplementedError


@hookspec
def tocsin_rules() -> Mapping[str, type[Rule]]:
    """Return rules by name."""
    raise NotImplementedError


@hookspec
def tocsin_notifiers() -> Mapping[str, type[Notifier]]:
    """Return notifiers by the name that ``notifier = "…"`` of a channel uses."""
    raise NotImplementedError


@hookspec
def tocsin_services() -> Mapping[str, type[Service]]:
    """Return long-running services, such as the dashboard, by name."""
    raise NotImplementedError


@hookspec
def tocsin_observers() -> Mapping[str, type[Observer]]:
    """Return observers by name; each receives every change of every alert."""
    raise NotImplementedError


@hookspec
def tocsin_reviewers() -> Mapping[str, type[Reviewer]]:
    """Return reviewers by name; each examines every ``down`` result before it counts."""
    raise NotImplementedError


@hookspec
def tocsin_histories() -> Mapping[str, type[HistoryStore]]:
    """Return histories by the name that ``[database] history = "…"`` uses."""
    raise NotImplementedError


@hookspec
def tocsin_routes() -> Sequence[Route]:
    """Return operations to add to the HTTP API."""
    raise NotImplementedError


@hookspec
def tocsin_panels() -> Sequence[Panel]:
    """Return panels for the page of a target in the dashboard."""
    raise NotImplementedError


@hookspec
def tocsin_doctor() -> Sequence[DoctorCheck]:
    """Return checks of the installation, which ``tocsin doctor`` runs."""
    raise NotImplementedError


@hookspec
def tocsin_commands() -> Sequence[click.Command]:
    """Return commands to add to the ``tocsin`` command line."""
    raise NotImplementedError
