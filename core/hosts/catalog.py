"""What plugins in hosts provide, in the form in which the core uses it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import Distribution, EntryPoint

import click

from tocsin.core.hosts.host import Host
from tocsin.core.hosts.hosted_class import proxy_of
from tocsin.core.hosts.hosted_doctor import doctor_check_of
from tocsin.core.hosts.hosted_route import route_of
from tocsin.core.hosts.hosts import Hosts
from tocsin.core.hosts.offer_cache import OfferCache
from tocsin.core.hosts.offers import PluginOffer
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.plugin.provided import Provided
from tocsin.core.plugin.summaries import first_line

AT_ONCE = 4
"""Number of hosts that are started at the same time."""


LoadCommands = Callable[[], tuple[list[click.Command], str]]


class HostedCommand(click.Command):
    """A command of a plugin in a host. It runs in the process of the person who calls it.

    Args:
        name: its name.
        plugin: name of its plugin.
        help: first line of its help.
        load: imports the plugin, and returns its commands, and why there may be none.
    """

    def __init__(self, name: str, plugin: str, help: str, load: LoadCommands) -> None:  # noqa: A002
        super().__init__(name, help=help)
        self._plugin = plugin
        self._load = load

    def loaded(self) -> click.Command:
        """Return the command of the plugin.

        Raises:
            click.ClickException: the plugin cannot be imported, or has no such command.
        """
        commands, why = self._load()
        for command in commands:
            if command.name == self.name:
                return command
        raise click.ClickException(
            f"the command {self.name!r} cannot run: plugin {self._plugin} {why}"
        )


def provided_of(offer: PluginOffer, host: Host, load: LoadCommands) -> list[Provided]:
    """Return what a plugin in a host provides.

    Args:
        offer: what it offers.
        host: its host.
        load: imports it into this process, and returns its commands, and why there may be none.

    Raises:
        PluginFault: it could not be loaded, or what it offers does not fit.
    """
    if offer.fault is not None:
        raise PluginFault(offer.fault)
    found, routes, checks = [], 0, 0
    for each in offer.offers:
        if each.route is not None:
            thing: object = route_of(each.route, routes, offer.name, host)
            routes += 1
        elif each.kind == "doctor":
            thing = doctor_check_of(each.name, checks, offer.name, host)
            checks += 1
        elif each.panel is not None:
            thing = each.panel
        elif each.kind == "command":
            thing = HostedCommand(each.name, offer.name, each.summary, load)
        elif each.kind == "history":
            thing = None  # it cannot be used from here
        else:
            thing = proxy_of(each, offer.name, host)
        found.append(Provided(each.kind, each.name, thing, first_line(each.summary)))
    return found


def load_hosted(
    hosts: Hosts, entries: Mapping[str, EntryPoint], cache: OfferCache, *, anew: bool
) -> dict[str, PluginOffer | PluginFault]:
    """Return what plugins in hosts offer, or why they cannot be loaded, by name.

    Args:
        hosts: the hosts.
        entries: the entry points of the plugins by name; each has a distribution.
        cache: what is known of them from earlier runs.
        anew: whether to start the hosts even of those that are known.
    """
    distributions: dict[str, Distribution] = {}
    for name, entry in entries.items():
        assert entry.dist is not None  # noqa: S101 - the caller has looked
        host = hosts.add(name, entry.value, entry.dist.name.lower().replace("_", "-"))
        distributions[host.distribution] = entry.dist

    def load(host: Host) -> tuple[PluginOffer, ...] | PluginFault:
        distribution = distributions[host.distribution]
        if not anew and (known := cache.get(distribution, host.plugins)) is not None:
            return known
        try:
            offers = host.load()
        except PluginFault as fault:
            return fault
        cache.put(distribution, host.plugins, offers)
        return offers

    if not entries:
        return {}
    found: dict[str, PluginOffer | PluginFault] = {}
    with ThreadPoolExecutor(AT_ONCE, "tocsin loading") as threads:
        for host, answer in zip(hosts, threads.map(load, hosts), strict=True):
            if isinstance(answer, PluginFault):
                found |= dict.fromkeys(host.plugins, answer)
            else:
                found |= {offer.name: offer for offer in answer}
    return found
