"""Discovery and loading of plugins.

Every plugin, built-in or third-party, is found through the entry-point group ``tocsin``. Names are
checked against the allow and deny lists before anything is loaded, because loading runs code. An
error in a plugin marks that plugin as failed, with the reason; all others continue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path

import click
import pluggy
from attrs import evolve

from tocsin.core.config import read_plugin_settings
from tocsin.core.config.core_settings import PluginSettings
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
from tocsin.core.plugin.catalog import PluginCatalog, PluginRecord
from tocsin.core.plugin.faults import PluginFault, call_with_deadline, describe
from tocsin.core.plugin.hook_checks import check_hooks
from tocsin.core.plugin.panel_checks import remarks_on, resolved
from tocsin.core.plugin.provided import HOOKS, Provided, check_names, provided_by
from tocsin.core.plugin.route_checks import placed, root_of

log = get_logger(__name__)

LOAD_DEADLINE = 20.0
"""Timeout, in seconds, for the import of a plugin, and again for each of its hooks."""

OWN = "tocsin"
"""Name of tocsin's own distribution."""


class PluginManager(PluginCatalog):
    """Discovers and loads plugins, and adds what they provide to the catalog.

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
        super().__init__()
        self._settings = settings
        self._cache = cache or OfferCache(None, "")
        self._discover = discover or (lambda: entry_points(group=hookspecs.GROUP))
        self._deadline = deadline
        self._pluggy = pluggy.PluginManager(hookspecs.GROUP)
        self._pluggy.add_hookspecs(hookspecs)
        self.hosts = Hosts(settings.host_memory, settings.host_cpu)
        """The processes of third-party plugins."""

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


def _distribution(entry: EntryPoint) -> tuple[str, str]:
    """Return the distribution's normalised name and its version."""
    if entry.dist is None:
        return "unknown", ""
    return entry.dist.name.lower().replace("_", "-"), entry.dist.version


def tocsin_version() -> str:
    """Return the version of the installed distribution."""
    return version("tocsin")
