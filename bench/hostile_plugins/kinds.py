"""A misbehaving plugin in the table, and short ways to write one of each kind."""

from __future__ import annotations

import re
from functools import partial
from textwrap import dedent, indent

from attrs import evolve, frozen

HEAD = """\
import asyncio, builtins, ctypes, faulthandler, gc, json, os, re, signal, socket, subprocess
import sys, threading, time
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timezone
from attrs import field, frozen
from tocsin import (
    Event, Notifier, NotifyError, Observer, Probe, ProbeRuntime, Receipt, Request, Result, Role,
    Routes, Rule, Service, Source, Target, Verdict, hookimpl,
)

class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")

"""
"""What every module of a plugin begins with."""

DIED = "exit|signal|died|ended|killed"
"""What has to be said of a plugin that ends its process."""

EXITED = r"SystemExit|sys\.exit"
"""What has to be said of one that calls ``sys.exit`` where that is caught."""

BLOCKED = "block|did not|within|ended"
"""What has to be said of a plugin that keeps its event loop."""

HEADS = {
    "probe": "async def check(self, target):",
    "source": "async def run(self, name, interval, sink):",
    "rule": "def evaluate(self, history, now):",
    "notifier": "async def send(self, message):",
    "observer": "async def changed(self, change):",
    "service": "async def run(self, context):",
}
"""The one method of each kind."""

TABLES = {
    "probe": (
        '[targets.{name}.checks.it]\nprobe = "{name}"\ninterval = "1s"\ntimeout = "2s"\n'
        "retries = 0\n"
    ),
    "source": '[sources.{name}]\nprobe = "{name}"\ninterval = "1s"\n',
    "rule": '[rules.{name}]\nrule = "{name}"\n',
    "notifier": '[channels.{name}]\nnotifier = "{name}"\n',
    "observer": "",
    "service": "",
}
"""What the configuration says of a plugin of each kind."""


_WHOLE = re.compile(r"^(async )?def \w+\(self", re.MULTILINE)
"""What tells the body of a class from the statements of its method."""


@frozen(kw_only=True)
class Hostile:
    """A plugin that misbehaves.

    Attributes:
        name: of the plugin, of what it provides, and of its table in the configuration.
        does: what it does, in one line.
        named: a word (a regular expression) that has to be in the plugin's reason; empty where
            there is nothing to tell, because what it does harms at most itself.
        source: the text of its module.
        config: its part of the configuration.
        asks: paths of the API that are asked for all the time.
        needs: seconds that it has to be watched alone, because a deadline of tocsin is as long.
        deadly: whether it may take down the process that it runs in. It is run alone first.
    """

    name: str
    does: str
    named: str
    source: str
    config: str = ""
    asks: tuple[str, ...] = ()
    needs: float = 0.0
    deadly: bool = False


def module(name: str, does: str, named: str, body: str, *, deadly: bool = False) -> Hostile:
    """A plugin whose module is all of ``body``, with ``NAME``; a check asks for it."""
    source = f"{HEAD}NAME = {name!r}\n{dedent(body)}"
    config = TABLES["probe"].format(name=name)
    return Hostile(
        name=name, does=does, named=named, source=source, config=config, deadly=deadly
    )  # fmt: skip


def _of(
    kind: str, name: str, does: str, named: str, body: str, top: str = "", *, deadly: bool = False
) -> Hostile:
    """A plugin of a kind: the statements of its method, or the whole body of its class."""
    body = dedent(body).strip("\n")
    if not _WHOLE.search(body):
        body = f"{HEADS[kind]}\n{indent(body, '    ')}"
    text = (
        f"{dedent(top)}\n@frozen(kw_only=True)\nclass It({kind.title()}):\n"
        f'    """{does}"""\n{indent(body, "    ")}\n\n'
        f"@hookimpl\ndef tocsin_{kind}s():\n    return {{NAME: It}}\n"
    )
    made = module(name, does, named, text, deadly=deadly)
    return evolve(made, config=TABLES[kind].format(name=name))


probe = partial(_of, "probe")
source = partial(_of, "source")
rule = partial(_of, "rule")
notifier = partial(_of, "notifier")
observer = partial(_of, "observer")
service = partial(_of, "service")


def route(name: str, does: str, named: str, handler: str, options: str = "") -> Hostile:
    """A route: its handler, without decorator."""
    text = (
        f'routes = Routes()\n\n@routes.get("it"{options})\n{dedent(handler)}\n\n'
        "@hookimpl\ndef tocsin_routes():\n    return routes.routes\n"
    )
    made = module(name, does, named, text)
    return evolve(made, config="", asks=(f"/api/v1/plugins/{name}/it",))
