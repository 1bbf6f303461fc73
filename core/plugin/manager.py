"""Discovery of plugins, and the record of what each provides and whether it works.

Every plugin, built-in or third-party, is found through the entry-point group ``tocsin``. Names are
checked against the allow and deny lists before anything is loaded, because loading runs code. An
error in a plugin marks that plugin as failed, with the reason; all others continue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from typing import Any

import click
import pluggy
from attrs import evolve, frozen

from tocsin.core.config import read_plugin_settings
from tocsin.core.config.settings import PluginSettings
from tocsin.core.contracts.doctor import DoctorCheck
from tocsin.core.contracts.panel import Panel
from tocsin.core.contracts.route import Route
from tocsin.core.hiding import clean
from tocsin.core.hosts.catalog import load_hosted, provided_of
from tocsin.core.hosts.hosts import Hosts
from tocsin.core.hosts.offer_cache import OfferCache
from tocsin.core.hosts.offers import PluginOffer
from tocsin.core.logs import get_logger
from tocsin.core.plugin import hookspecs
from tocsin.core.plugin.api import api_of, remark_on, remark_on_history
from tocsin.core.plugin.faults import PluginFault, call_with_deadline, describe
from tocsin.core.plugin.hook_checks import check_hooks
from tocsin.core.plugin.panel_checks import remarks_on, resolved
from tocsin.core.plugin.provided import HOOKS, Entry, Provided, check_names, provided_by
from tocsin.core.plugin.route_checks import placed, root_of

log = get_logger(__name__)

LOAD_DEADLINE = 20.0
"""Timeout, in seconds, for the import of a plugin, and again for each of its hooks."""

OWN = "tocsin"
"""Name of tocsin's own distribution."""


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
        retry_at: when it is tried again, while it is quarantined; aware UTC.
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


class PluginManager:
    """Discovers, loads and records plugins; the catalog of what they provide.

    Args:
        settings: which plugins may be loaded.
        discover: returns the entry points; None: those installed. Tests of plugin authors pass
            their own.
        deadline: timeout, in seconds, of the import and of each hook.
        cache: what plugins in processes of their own offered in earlier runs; None: nothing is
            known.
    """

    def __init__(
        self,
        settings: PluginSettings,
        discover: Callable[[], Iterable[EntryPoint]] | None = None,
        deadline: float = LOAD_DEADLINE,
        cache: OfferCache | None = None,
    ) -> None:
        self._settings = settings
        self._cache = cache or OfferCache(None, "")
        self._discover = discover or (lambda: entry_points(group=hookspecs.GROUP))
        self._deadline = deadline
        self._pluggy = pluggy.PluginManager(hookspecs.GROUP)
        self._pluggy.add_hookspecs(hookspecs)
        self._records: dict[str, PluginRecord] = {}
        self.is_stopping = False
        """Whether tocsin stops: then no plugin fails or recovers any more."""
        self.hosts = Hosts(settings.host_memory, settings.host_cpu)
        """The processes of third-party plugins."""
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

    @property
    def inline(self) -> frozenset[str]:
        """Names of the plugins that run in the core's own event loop."""
        own = (r.name for r in self._records.values() if r.distribution == OWN)
        return frozenset((*own, *(self._settings.inline or ())))

    def load(self, *, anew: bool = True) -> None:
        """Find and load every plugin. Errors in plugins are recorded, not raised.

        Args:
            anew: whether to start the processes of all third-party plugins; otherwise only of
                those that are not in the cache.
        """
        # Built-in plugins come first: a third-party plugin that uses one of their names is refused.
        found = sorted(self._discover(), key=lambda e: (_distribution(e)[0] != OWN, e.name))
        first = {entry.name: entry for entry in reversed(found)}  # of each name
        away = {name: entry for name, entry in first.items() if self._is_hosted(entry)}
        hosted = load_hosted(self.hosts, away, self._cache, anew=anew)
        for entry in found:
            if entry.name in self._records:
                other = self._records[entry.name].distribution
                mine = _distribution(entry)[0]
                if other != mine:  # one distribution found twice on sys.path is no conflict
                    self._refuse_twin(entry, other)
                continue
            if entry.name in hosted:
                self._add_hosted(entry, hosted[entry.name])
            else:
                self.add(entry.name, entry.load, *_distribution(entry))
        self.remark_on_panels()

    def remark_on_panels(self) -> None:
        """Remark on panels about probes or metrics that no plugin provides, once all are loaded."""
        metrics = {
            name: tuple(entry.cls.metrics)
            for shelf in (self.sources, self.probes)
            for name, entry in shelf.items()
        }
        for name, panel in self.panels:
            record = self._records[name]
            remarks = [r for r in remarks_on(panel, metrics) if r not in record.remarks]
            for remark in remarks:
                log.warning("a panel of a plugin will stay empty", plugin=name, reason=remark)
            self._records[name] = evolve(record, remarks=(*record.remarks, *remarks))

    def _is_hosted(self, entry: EntryPoint) -> bool:
        """Return whether a plugin runs in a process of its own, if it may be loaded."""
        if entry.dist is None or _distribution(entry)[0] == OWN:
            return False
        if entry.name in (self._settings.inline or ()):
            return False
        return self._refusal(entry.name, _distribution(entry)[0]) is None

    def _add_hosted(self, entry: EntryPoint, offer: PluginOffer | PluginFault) -> None:
        """Record a plugin that runs in a host."""
        name, (distribution, its_version) = entry.name, _distribution(entry)
        record = PluginRecord(name=name, distribution=distribution, version=its_version)
        try:
            if isinstance(offer, PluginFault):
                raise offer
            provides = provided_of(offer, self.hosts.of(name), partial(_commands_of, entry))
            check_names(provides, self._shelves)
            routes = self._routes(name, provides)
            panels = self._panels(provides)
        except PluginFault as fault:
            self._records[name] = evolve(record, status="failed", reason=clean(str(fault)))
            return
        if offer.document is not None:
            self.route_documents[name] = offer.document
        for remark in offer.remarks:
            log.warning("a plugin has to be changed", plugin=name, reason=remark)
        histories = (item.name for item in provides if item.kind == "history")
        remarks = (*offer.remarks, *map(remark_on_history, histories))
        record = evolve(record, api=offer.api, remarks=remarks)
        self._keep(record, provides, routes, panels)

    def _refuse_twin(self, entry: EntryPoint, other: str | None) -> None:
        distribution, its_version = _distribution(entry)
        name = f"{entry.name} ({distribution})"
        self._records[name] = PluginRecord(
            name=name,
            distribution=distribution,
            version=its_version,
            status="failed",
            reason=f"the plugin name {entry.name!r} is taken by {other}; it was not loaded",
        )

    def add(
        self,
        name: str,
        load: Callable[[], object],
        distribution: str | None = None,
        its_version: str | None = None,
    ) -> None:
        """Load one plugin and record the result.

        Args:
            name: name of its entry point.
            load: returns the object that has the hook implementations.
            distribution: normalised name of its distribution.
            its_version: version of its distribution.
        """
        record = PluginRecord(name=name, distribution=distribution, version=its_version)
        if refusal := self._refusal(name, distribution):
            self._records[name] = evolve(record, status="disabled", reason=refusal)
            return
        try:
            plugin = call_with_deadline(load, self._deadline, "it was imported")
            record = evolve(record, api=call_with_deadline(
                partial(api_of, plugin), self._deadline, "its tocsin_api was read"
            ))  # fmt: skip
            call_with_deadline(
                lambda: self._register(plugin, name), self._deadline, "its hooks were registered"
            )
            provides = self._provided(name)
            routes = self._routes(name, provides)
            panels = self._panels(provides)
        except PluginFault as fault:
            if self._pluggy.has_plugin(name):
                self._pluggy.unregister(name=name)
            self._records[name] = evolve(record, status="failed", reason=clean(str(fault)))
            return
        self._keep(evolve(record, remarks=self._remarks(name)), provides, routes, panels)

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

    def _refusal(self, name: str, distribution: str | None) -> str | None:
        if name in self._settings.disabled:
            return "named in [plugins] disabled"
        if self._settings.allowed is not None and name not in self._settings.allowed:
            return "not named in [plugins] allowed"
        if not self._settings.external and distribution != OWN:
            return "external plugins are off ([plugins] external = false or --no-external)"
        return None

    def _register(self, plugin: object, name: str) -> None:
        check_hooks(plugin)
        try:
            self._pluggy.register(plugin, name=name)
            self._pluggy.check_pending()
        except Exception as error:
            raise PluginFault(f"does not fit tocsin's hooks: {describe(error)}") from error

    def _remarks(self, name: str) -> tuple[str, ...]:
        """Log and return clauses about what the plugin uses and will end."""
        callers = self._pluggy.get_hookcallers(self._pluggy.get_plugin(name)) or ()
        remarks = tuple(filter(None, (remark_on(caller.name) for caller in callers)))
        for remark in remarks:
            log.warning("a plugin has to be changed", plugin=name, reason=remark)
        return remarks

    def _provided(self, name: str) -> list[Provided]:
        provides: list[Provided] = []
        for hook in HOOKS:
            for implementation in getattr(self._pluggy.hook, hook).get_hookimpls():
                if implementation.plugin_name == name:
                    provides += call_with_deadline(
                        partial(provided_by, hook, implementation.function, self._shelves),
                        self._deadline,
                        f"{hook} was called",
                    )
        if not provides:
            raise PluginFault("provides nothing: no @tocsin.hookimpl function was found in it")
        return provides

    def _routes(self, name: str, provides: list[Provided]) -> list[Route]:
        """Return the plugin's routes with their full paths. Raises PluginFault."""
        own = [item.cls for item in provides if item.kind == "route"]
        owners = {root_of(route.path): f"plugin {plugin!r}" for plugin, route in self.routes}
        if not own:
            return []
        return call_with_deadline(
            partial(placed, name, own, owners), self._deadline, "its routes were read"
        )

    def _panels(self, provides: list[Provided]) -> list[Panel]:
        """Return a plugin's panels, with the probes that they are about. Raises PluginFault."""
        own = [item.name for item in provides if item.kind in ("probe", "source")]
        panels = [item.cls for item in provides if item.kind == "panel"]
        return call_with_deadline(
            partial(resolved, panels, own), self._deadline, "its panels were read"
        )

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

    def fail(self, name: str, reason: str, retry_at: datetime | None = None) -> bool:
        """Mark a loaded plugin as failed.

        Args:
            name: the plugin.
            reason: what went wrong, as a clause.
            retry_at: end of its quarantine, aware UTC; None: it is not quarantined.

        Returns:
            Whether it was not failed before.
        """
        record = self._records.get(name)
        if record is None or self.is_stopping:
            return False
        failed = evolve(record, status="failed", reason=clean(reason), retry_at=retry_at)
        self._records[name] = failed
        return record.status != "failed"

    def recover(self, name: str) -> bool:
        """Mark a loaded plugin as working, unless one of its objects could not be created. Return
        whether it was not marked so before."""
        if (why := self.unbuilt.get(name)) is not None:
            self.fail(name, why)
            return False
        record = self._records.get(name)
        if record is None or record.status == "ok" or self.is_stopping:
            return False
        self._records[name] = evolve(record, status="ok", reason=None, retry_at=None)
        return True


def _commands_of(entry: EntryPoint) -> tuple[list[click.Command], str]:
    """Import a plugin into this process; return its commands, and why there may be none."""
    manager = PluginManager(PluginSettings(), discover=tuple)
    manager.add(entry.name, entry.load, *_distribution(entry))
    (record,) = manager.records
    return manager.commands, record.reason or "does not provide it any more"


def load_plugins(
    path: Path | None, env: Mapping[str, str], *, external: bool = True, anew: bool = True
) -> PluginManager:
    """Find and load the plugins that a configuration allows.

    Args:
        path: the configuration file.
        env: the environment variables.
        external: whether to load third-party plugins.
        anew: see :meth:`PluginManager.load`.
    """
    settings = read_plugin_settings(path, env, external=external)
    plugins = PluginManager(settings, cache=OfferCache.of_user(env, tocsin_version()))
    plugins.load(anew=anew)
    return plugins


def _state(record: PluginRecord) -> str:
    return f"is disabled: {record.reason}" if record.status == "disabled" else f"{record.reason}"


def _distribution(entry: EntryPoint) -> tuple[str, str]:
    """Return the distribution's normalised name and its version."""
    if entry.dist is None:
        return "unknown", ""
    return entry.dist.name.lower().replace("_", "-"), entry.dist.version


def tocsin_version() -> str:
    """Return the version of the installed distribution."""
    return version("tocsin")
