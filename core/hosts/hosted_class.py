"""Proxy classes made of what a plugin offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import msgspec
from attrs import evolve, frozen

from tocsin.core.config.construct import Hosting, OptionsRefused
from tocsin.core.hosts.host import Host
from tocsin.core.hosts.methods import Options
from tocsin.core.hosts.offers import Offer, attributes_of, class_variables
from tocsin.core.hosts.packing import pack
from tocsin.core.hosts.proxies import PROXIES
from tocsin.core.hosts.remote import RemoteOptions
from tocsin.core.plugin.faults import PluginFault


@frozen
class HostedClass(Hosting):
    """Binds instances of a proxy class to the class of the plugin.

    Attributes:
        host: the host.
        plugin: name of the plugin.
        offer: what the plugin offers.
    """

    host: Host
    plugin: str
    offer: Offer

    def bound(self, instance: Any, table: Mapping[str, Any], *, wait: bool) -> Any:
        """Return an instance, with its options checked by the plugin; see :class:`Hosting`."""
        options = Options(
            plugin=self.plugin, kind=self.offer.kind, name=self.offer.name, table=pack(table)
        )
        facts: Mapping[str, Any] = {}
        if wait:
            made = self.host.construct(options)
            if made.problems:
                raise OptionsRefused((tuple(map(str, path)), text) for path, text in made.problems)
            if made.broken is not None:
                raise PluginFault(made.broken)
            instance = evolve(instance, **_as_types(type(instance), made.values))
            facts = made.facts
        object.__setattr__(
            instance, "tocsin_remote", RemoteOptions(self.host, self.offer, options, facts)
        )
        return instance


def _as_types(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of fields that came over the connection, as the types of the fields."""
    tuples = {f.name for f in attrs.fields(cls) if "tuple" in str(f.type)}
    return {n: tuple(v) if n in tuples and isinstance(v, list) else v for n, v in values.items()}


def proxy_of(offer: Offer, plugin: str, host: Host) -> type:
    """Return the class that stands for a class of a plugin.

    Raises:
        PluginFault: what the plugin offers does not fit its contract.
    """
    base = PROXIES[offer.contract]
    contract = base.__mro__[1]
    try:
        facts = {
            name: msgspec.convert(offer.facts[name], kind)
            for name, kind in class_variables(contract).items()
        }
        cls = attrs.make_class(
            offer.title,
            attributes_of(offer.options),
            bases=(base,),
            frozen=True,
            kw_only=True,
            slots=True,
        )
    except (msgspec.ValidationError, KeyError, TypeError, ValueError) as error:
        raise PluginFault(
            f"offers a {offer.kind} {offer.name!r} that does not fit: {error}"
        ) from error
    for name, value in facts.items():
        setattr(cls, name, value)
    cls.__doc__, cls.__module__ = offer.summary, "hosted"  # it counts as the plugin's
    cls.tocsin_hosting = HostedClass(host, plugin, offer)  # type: ignore[attr-defined]
    return cls
