"""What ``tocsin plugins`` says about what plugins provide: their own words."""

from __future__ import annotations

import types

from tests.hosts.conftest import Core
from tests.hosts.installed import HEAD
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.http.admin import plugin_view
from tocsin.core.plugin.manager import PluginManager

SOURCE = '''
import click
@frozen(kw_only=True)
class Mine(Probe):
    """Watch a queue.

    Further words.
    """
    async def check(self, target): return Result.up()
@frozen(kw_only=True)
class Silent(Probe):
    async def check(self, target): return Result.up()
@frozen(kw_only=True)
class Inheriting(Mine):
    pass
routes = Routes()
@routes.get("queues")
async def queues(request: Request) -> list[str]:
    """List the queues."""
    return []
@routes.get("flow")
async def flow(request: Request):
    """Stream the queue."""
    yield ""
async def examine(context, installation):
    """Check that the queue answers.

    Further words.
    """
    return []
@click.command()
def drain():
    """Empty the queue.

    Further words.
    """
@click.command()
def bare(): pass
@hookimpl
def tocsin_probes(): return {"mine": Mine, "silent": Silent, "inheriting": Inheriting}
@hookimpl
def tocsin_routes(): return routes.routes
@hookimpl
def tocsin_doctor(): return [DoctorCheck(name="queue", handler=examine)]
@hookimpl
def tocsin_commands(): return [drain, bare]
@hookimpl
def tocsin_panels(): return [Panel(name="p", title="The queue", text="words")]
'''

EXPECTED = {
    "mine": "Watch a queue.",
    "silent": "",
    "inheriting": "Watch a queue.",
    "GET queues": "List the queues.",
    "GET flow": "Stream the queue.",
    "queue": "Check that the queue answers.",
    "drain": "Empty the queue.",
    "bare": "",
    "p": "The queue",
}


async def test_a_plugin_in_a_host_is_described_in_its_own_words(core: Core) -> None:
    """The summary is the first line of the author's docstring or help, and empty if there is none:
    never a docstring of tocsin's own."""
    core.load(SOURCE)
    view = plugin_view(core.record())
    assert {item.name: item.summary for item in view.provides} == EXPECTED


def test_an_inline_plugin_is_described_in_its_own_words() -> None:
    """As one in a host."""
    module = types.ModuleType("inline_strange")
    exec(HEAD + SOURCE, vars(module))
    manager = PluginManager(PluginSettings(), discover=tuple)
    manager.add("strange", lambda: module, "tests", "0")
    view = plugin_view(manager.records[0])
    assert (view.status, view.reason) == ("ok", None)
    assert {item.name: item.summary for item in view.provides} == EXPECTED
