"""Resources about tocsin itself: plugins, configuration, reload and audit log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from attrs import frozen

from tocsin.core.config import ConfigError, redacted
from tocsin.core.contracts.model import AuditEntry
from tocsin.core.contracts.route import Role, Routes
from tocsin.core.http.history import unavailable
from tocsin.core.http.paging import NewestQuery, PageQuery, page
from tocsin.core.http.problems import Problem
from tocsin.core.http.routing import Call
from tocsin.core.plugin.catalog import PluginRecord
from tocsin.core.plugin.options import Option, options_of
from tocsin.core.plugin.provided import Provided

routes = Routes()


@frozen(kw_only=True)
class ProvidedView:
    """One item that a plugin provides (such as a probe or a rule), with the options it takes.

    ``table`` is how its table in ``tocsin.toml`` is written; null if it has none.
    """

    kind: str
    name: str
    table: str | None
    summary: str
    options: list[Option]


@frozen(kw_only=True)
class PluginView:
    """A plugin. ``status`` is ok, failed or disabled; ``reason`` explains any status but ok.

    ``api`` is the version of the plugin API that it was written for; ``remarks`` are about what
    of it cannot be used, and what it uses that will end.
    """

    name: str
    kinds: tuple[str, ...]
    distribution: str | None
    version: str | None
    status: str
    reason: str | None
    api: int | None
    remarks: tuple[str, ...]
    retry_at: datetime | None
    provides: list[ProvidedView]


@frozen(kw_only=True)
class PluginPage:
    """A page of plugins, sorted by name."""

    items: list[PluginView]
    total: int
    next: str | None


@frozen(kw_only=True)
class ConfigView:
    """The configuration in force. Defaults are filled in and secrets are redacted."""

    config: Mapping[str, Any]


@frozen(kw_only=True)
class ReloadView:
    """The outcome of a successful reload."""

    reloaded: bool
    targets: int
    warnings: tuple[str, ...]


@frozen(kw_only=True)
class AuditView:
    """One entry of the audit log: a change that a person made."""

    id: UUID
    at: datetime
    actor: str
    role: str
    action: str
    subject: str
    outcome: str
    details: Mapping[str, Any] | None


@frozen(kw_only=True)
class AuditPage:
    """Entries of the audit log, newest first."""

    items: list[AuditView]
    next: UUID | None


_TABLES = {
    "probe": '[targets.NAME.checks.NAME] with probe = "{}"',
    "source": '[sources.NAME] with probe = "{}"',
    "rule": '[rules.NAME] with rule = "{}"',
    "notifier": '[channels.NAME] with notifier = "{}"',
    "service": "[services.{}]",
    "observer": "[observers.{}]",
    "reviewer": "[reviewers.{}]",
    "history": '[database] with history = "{}"',
}


def _table(item: Provided) -> str | None:
    """Return how the table of an item in the configuration is written."""
    if item.kind == "reviewer" and (section := item.cls.section) is not None:
        return f"[{section}]"
    written = _TABLES.get(item.kind)
    return None if written is None else written.format(item.name)


def plugin_view(record: PluginRecord) -> PluginView:
    """Return the API's view of a plugin."""
    return PluginView(
        name=record.name,
        kinds=record.kinds,
        distribution=record.distribution,
        version=record.version,
        status=record.status,
        reason=record.reason,
        api=record.api,
        remarks=record.remarks,
        retry_at=record.retry_at,
        provides=[
            ProvidedView(
                kind=item.kind,
                name=item.name,
                table=_table(item),
                summary=item.summary,
                options=options_of(item.cls) if isinstance(item.cls, type) else [],
            )
            for item in record.provides
        ],
    )


@routes.get("/api/v1/plugins")
async def list_plugins(call: Call, query: PageQuery) -> PluginPage:
    """List the plugins with their status and options."""
    records = call.monitor.plugins.records
    items, after = page(records, lambda r: r.name, query.limit, query.cursor)
    return PluginPage(
        items=[plugin_view(record) for record in items], total=len(records), next=after
    )


@routes.get("/api/v1/config", role=Role.ADMIN)
async def get_config(call: Call) -> ConfigView:
    """Return the configuration in force, with secrets redacted."""
    # Redacting the configuration of thousands of targets would block the event loop for too long.
    return ConfigView(config=await asyncio.to_thread(redacted, call.monitor.settings))


@routes.post("/api/v1/reload", role=Role.ADMIN, errors=(422,))
async def reload(call: Call) -> ReloadView:
    """Read the configuration again and apply it.

    A configuration with errors is rejected as a whole, and the current one stays in force.
    """
    try:
        settings = await call.monitor.reload()
    except ConfigError as error:
        problems = tuple(str(problem) for problem in error.problems)
        call.audit("reload", "configuration", "refused: it has errors")
        raise Problem(
            422, "the new configuration has errors; the current one stays in force", errors=problems
        ) from error
    except BaseException as error:  # a defect in tocsin, or shutdown during the reload
        call.audit("reload", "configuration", f"failed: {type(error).__name__}")
        raise
    call.audit("reload", "configuration")
    return ReloadView(reloaded=True, targets=settings.declared()[0], warnings=settings.warnings)


@routes.get("/api/v1/audit", role=Role.ADMIN, errors=(503,))
async def list_audit(call: Call, query: NewestQuery) -> AuditPage:
    """List the entries of the audit log, newest first."""
    with unavailable():
        entries = await call.monitor.history.records(
            lambda history: history.audit(query.limit, query.cursor), AuditEntry
        )
    items = [
        AuditView(
            id=entry.id,
            at=entry.at,
            actor=entry.actor,
            role=entry.role,
            action=entry.action,
            subject=entry.subject,
            outcome=entry.outcome,
            details=entry.details or None,
        )
        for entry in entries
    ]
    return AuditPage(items=items, next=items[-1].id if len(items) == query.limit else None)
