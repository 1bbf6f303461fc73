"""The catalog of what plugins provide, and the record of whether each of them works."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import click
from attrs import evolve, frozen

from tocsin.core.contracts.doctor import DoctorCheck
from tocsin.core.contracts.model import ComponentHealth, Health
from tocsin.core.contracts.panel import Panel
from tocsin.core.contracts.route import Route
from tocsin.core.hiding import clean
from tocsin.core.logs import get_logger
from tocsin.core.plugin.open_faults import OpenFault, OpenFaults
from tocsin.core.plugin.provided import Entry, Provided

log = get_logger(__name__)

UNBUILT = "objects"
"""The part of a plugin that is failed while an object of one of its classes cannot be created."""


@frozen(kw_only=True)
class PluginRecord:
    """The present state of a plugin.

    Attributes:
        name: name of its entry point.
        kinds: the kinds of what it provides.
        distribution: normalised name of its distribution.
        version: version of its distribution.
        status: ``ok``, ``failed`` or ``disabled``.
        reason: why it failed or is disabled.
        api: version of the plugin API that it was written for; None if it was not loaded.
        remarks: clauses about what of it cannot be used, or uses what will end.
        retry_at: when the part that failed is tried again, while it is paused; aware UTC.
        provides: what it provides.
    """

    name: str
    kinds: tuple[str, ...] = ()
    distribution: str | None = None
    version: str | None = None
    status: str = "ok"
    reason: str | None = None
    api: int | None = None
    remarks: tuple[str, ...] = ()
    retry_at: datetime | None = None
    provides: tuple[Provided, ...] = ()


class PluginCatalog:
    """What the plugins provide, by kind and name, and whether they work."""

    def __init__(self) -> None:
        self._records: dict[str, PluginRecord] = {}
        self._faults = OpenFaults()
        self.is_stopping = False
        """Whether tocsin stops: then no plugin fails or recovers any more."""
        self.route_documents: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        """By plugin in a host: paths and components of its routes in the OpenAPI document."""
        self.unbuilt: dict[str, str] = {}
        """By plugin: why an object of one of its classes could not be created."""
        self.probes: dict[str, Entry] = {}
        self.sources: dict[str, Entry] = {}
        self.rules: dict[str, Entry] = {}
        self.notifiers: dict[str, Entry] = {}
        self.services: dict[str, Entry] = {}
        self.observers: dict[str, Entry] = {}
        self.reviewers: dict[str, Entry] = {}
        self.histories: dict[str, Entry] = {}
        self.hosted_histories: dict[str, str] = {}
        """Plugins of histories that cannot be used, since they run in hosts, by name."""
        self.command_entries: dict[str, Entry] = {}
        self.doctor_checks: list[tuple[str, DoctorCheck]] = []
        """Checks of the installation, each with the name of its plugin."""
        self.routes: list[tuple[str, Route]] = []
        """Routes with their full paths, each with the name of its plugin."""
        self.panels: list[tuple[str, Panel]] = []
        """Panels of the dashboard, each with the name of its plugin."""
        self._shelves = {
            "probe": self.probes,
            "source": self.sources,
            "rule": self.rules,
            "notifier": self.notifiers,
            "service": self.services,
            "observer": self.observers,
            "reviewer": self.reviewers,
            "history": self.histories,
            "command": self.command_entries,
        }

    @property
    def records(self) -> list[PluginRecord]:
        """Every plugin found, sorted by name."""
        return [self._records[name] for name in sorted(self._records)]

    @property
    def commands(self) -> list[click.Command]:
        """The commands of plugins."""
        return [entry.cls for entry in self.command_entries.values()]

    def _keep(
        self,
        record: PluginRecord,
        provides: Sequence[Provided],
        routes: Iterable[Route],
        panels: Iterable[Panel],
    ) -> None:
        """Add what a plugin provides to the catalog, and its record."""
        for item in provides:
            if item.cls is None:
                self.hosted_histories[item.name] = record.name
            elif item.kind in self._shelves:
                entry = Entry(item.cls, record.name, record.distribution)
                self._shelves[item.kind][item.name] = entry
            elif item.kind == "doctor":
                self.doctor_checks.append((record.name, item.cls))
        self.routes += [(record.name, route) for route in routes]
        self.panels += [(record.name, panel) for panel in panels]
        kinds = tuple(dict.fromkeys(item.kind for item in provides))
        self._records[record.name] = evolve(record, kinds=kinds, provides=tuple(provides))

    def missing(self, name: str) -> str | None:
        """Return why ``name`` is not available; None if no plugin is known to provide it.

        A plugin that failed to load may have provided anything, so if there is one, an unknown name
        is attributed to it.
        """
        record = self._records.get(name)
        if record is not None and record.status != "ok":
            return f"plugin {name!r} {_state(record)}"
        reason = self.unloaded()
        return None if reason is None else f"no plugin provides it, but {reason}"

    def unloaded(self, *, disabled: bool = False) -> str | None:
        """Return which plugin did not load and why, as a clause; None if all did.

        Args:
            disabled: whether plugins that are disabled count as well.
        """
        for record in self.records:
            failed = record.status == "failed" and not record.provides
            if failed or (disabled and record.status == "disabled"):
                return f"plugin {record.name!r} {_state(record)}"
        return None

    def fail(
        self, name: str, reason: str, retry_at: datetime | None = None, part: str = ""
    ) -> bool:
        """Mark a loaded plugin as failed, and log each reason once.

        Args:
            name: the plugin.
            reason: what went wrong, as a clause.
            retry_at: when the part is tried again, if it is paused; aware UTC.
            part: which part of the plugin failed.

        Returns:
            Whether it was not failed before.
        """
        record = self._records.get(name)
        if record is None or self.is_stopping:
            return False
        reason = clean(reason)
        if self._faults.add(name, part, OpenFault(reason, retry_at)):
            log.error("a plugin failed; everything else goes on", plugin=name, reason=reason)
        self._records[name] = evolve(record, status="failed", reason=reason, retry_at=retry_at)
        return record.status != "failed"

    def note_unbuilt(self, unbuilt: dict[str, str]) -> None:
        """Mark plugins failed whose objects could not be built, and recover those that now can.

        Args:
            unbuilt: by plugin, why an object of one of its classes could not be built.
        """
        before, self.unbuilt = self.unbuilt, unbuilt
        for plugin in before.keys() - unbuilt.keys():
            self.recover(plugin, UNBUILT)
        for plugin, reason in unbuilt.items():
            self.fail(plugin, reason, part=UNBUILT)

    def health(self) -> ComponentHealth:
        """Return the health of all plugins."""
        failed = ", ".join(record.name for record in self.records if record.status == "failed")
        if failed:
            return ComponentHealth(status=Health.DEGRADED, message=f"failed: {failed}")
        return ComponentHealth(status=Health.OK)

    def recover(self, name: str, part: str | None = None) -> bool:
        """Mark a part of a loaded plugin as working; the plugin works again if no other part of it
        is failed, and each of its objects could be created.

        Args:
            name: the plugin.
            part: the part; None: all parts.

        Returns:
            Whether the plugin works again.
        """
        other = self._faults.remove(name, part)
        if other is None and (why := self.unbuilt.get(name)) is not None:
            other = OpenFault(why)
            self._faults.add(name, UNBUILT, other)
        record = self._records.get(name)
        if record is None or record.status == "ok" or self.is_stopping:
            return False
        if other is not None:
            self._records[name] = evolve(record, reason=other.reason, retry_at=other.retry_at)
            return False
        self._records[name] = evolve(record, status="ok", reason=None, retry_at=None)
        return True


def _state(record: PluginRecord) -> str:
    return f"is disabled: {record.reason}" if record.status == "disabled" else f"{record.reason}"
