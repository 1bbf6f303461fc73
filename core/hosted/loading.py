"""Import of the plugins of a host, and the description of what they offer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint
from typing import Any

import msgspec
from attrs import define, field

from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.contracts.doctor import DoctorCheck
from tocsin.core.contracts.notifier import Notifier
from tocsin.core.contracts.observer import Observer
from tocsin.core.contracts.probe import Probe, PushProbe
from tocsin.core.contracts.reviewer import Reviewer
from tocsin.core.contracts.route import Route
from tocsin.core.contracts.rule import Rule
from tocsin.core.contracts.service import Service
from tocsin.core.contracts.source import Source, actions_of
from tocsin.core.hosts.offers import (
    Offer,
    PluginOffer,
    RouteOffer,
    class_variables,
    fields_of,
    plain,
)
from tocsin.core.plugin.faults import PluginFault, call_with_deadline
from tocsin.core.plugin.hookspecs import GROUP
from tocsin.core.plugin.manager import LOAD_DEADLINE, PluginManager
from tocsin.core.plugin.provided import Provided
from tocsin.core.plugin.summaries import docstring_of

CONTRACTS: tuple[type, ...] = (
    Probe,
    PushProbe,
    Source,
    Rule,
    Notifier,
    Observer,
    Service,
    Reviewer,
)
"""The base classes of plugins' classes."""


@define
class Loaded:
    """The plugins of this host.

    Attributes:
        manager: holds them.
        routes: their routes, by plugin, in the order in which they are offered.
        doctor_checks: their checks of the installation, likewise.
    """

    manager: PluginManager = field(
        factory=lambda: PluginManager(PluginSettings(), discover=lambda: ())
    )
    routes: dict[str, list[Route]] = field(factory=dict)
    doctor_checks: dict[str, list[DoctorCheck]] = field(factory=dict)

    def load(self, wanted: Iterable[tuple[str, str]]) -> tuple[PluginOffer, ...]:
        """Import plugins and return what they offer.

        Args:
            wanted: the name and value of each one's entry point.
        """
        return tuple(self._load(name, value) for name, value in wanted)

    def _load(self, name: str, value: str) -> PluginOffer:
        self.manager.add(name, EntryPoint(name, value, GROUP).load, "")
        record = next(r for r in self.manager.records if r.name == name)
        if record.status != "ok":
            return PluginOffer(name=name, fault=record.reason)
        self.routes[name] = [route for plugin, route in self.manager.routes if plugin == name]
        self.doctor_checks[name] = [p.cls for p in record.provides if p.kind == "doctor"]
        try:
            offers, document = call_with_deadline(
                lambda: self._offers(name, record.provides), LOAD_DEADLINE, "it was described"
            )
        except PluginFault as fault:
            return PluginOffer(name=name, fault=str(fault))
        return PluginOffer(
            name=name, api=record.api, remarks=record.remarks, offers=offers, document=document
        )

    def _offers(self, name: str, provides: Sequence[Provided]) -> tuple[tuple[Offer, ...], Any]:
        offers = [_offer(item) for item in provides if item.kind != "route"]
        offers += [
            Offer(kind="route", name=item.name, summary=item.summary, route=_route(item.cls))
            for item in provides
            if item.kind == "route"
        ]
        routes = self.routes[name]
        document = None
        if routes:
            from tocsin.core.http.openapi import described  # imported late: most do without HTTP

            document = described(routes, name)
        return tuple(offers), msgspec.to_builtins(document)


def contract_of(cls: type) -> type:
    """Return the base class that a plugin's class implements."""
    return next(base for base in CONTRACTS if issubclass(cls, base))


def _offer(item: Provided) -> Offer:
    if item.kind == "command":
        return Offer(kind="command", name=item.name, summary=item.summary)
    if item.kind == "panel":
        return Offer(kind="panel", name=item.name, summary=item.summary, panel=item.cls)
    if item.kind == "doctor":
        return Offer(kind="doctor", name=item.name, summary=item.summary)
    if item.kind == "history":  # it is used only where its plugin is inline
        return Offer(kind="history", name=item.name, summary=item.summary)
    cls = item.cls
    contract = contract_of(cls)
    return Offer(
        kind=item.kind,
        name=item.name,
        contract=contract.__name__,
        title=cls.__name__,
        summary=docstring_of(cls),
        options=fields_of(cls),
        facts={name: plain(getattr(cls, name)) for name in class_variables(contract)} | _more(cls),
    )


def _more(cls: type) -> dict[str, Any]:
    """Return what follows from the methods that a class defines."""
    if issubclass(cls, Source):
        return {"actions": sorted(actions_of(cls))}
    if issubclass(cls, Notifier):
        own = (cls.open, cls.listen) != (Notifier.open, Notifier.listen)
        return {"listens": own}
    return {}


def _route(route: Route) -> RouteOffer:
    return RouteOffer(
        method=route.method,
        path=route.path,
        role=route.role.value if route.role is not None else None,
        media=route.media,
        wants_system=route.wants_system,
        streams=route.streams,
        takes_query=route.query is not None,
        takes_body=route.body is not None,
        takes_view=route.wants_view,
        summary=route.summary,
    )
