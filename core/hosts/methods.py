"""What the core calls at a plugin host, and what a host calls at the core.

Numbers stand for objects: the core numbers the options that it has constructed and the runtimes
that it has opened, and both ends use these numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from attrs import frozen

from tocsin.core.contracts.base import Secret
from tocsin.core.contracts.doctor import Finding
from tocsin.core.contracts.message import Message
from tocsin.core.contracts.metric import Metric
from tocsin.core.contracts.model import Event, Heartbeat, LogLine, Result, Target
from tocsin.core.contracts.notifier import Receipt
from tocsin.core.contracts.observer import AlertChange
from tocsin.core.contracts.reviewer import ReviewRequest
from tocsin.core.contracts.route import Request
from tocsin.core.contracts.rule import History, Verdict
from tocsin.core.contracts.view import (
    AlertSnapshot,
    ChannelSnapshot,
    ComponentSnapshot,
    PluginSnapshot,
    Statistics,
    TargetSnapshot,
)
from tocsin.core.hosts.offers import PluginOffer
from tocsin.core.hosts.wire import Method


@frozen(kw_only=True)
class Options:
    """Options that were constructed, as a host has to construct them again.

    Attributes:
        plugin: name of the plugin.
        kind: kind of the class.
        name: name under which the plugin provides it.
        table: the options.
    """

    plugin: str
    kind: str
    name: str
    table: Any


@frozen(kw_only=True)
class Constructed:
    """What came of options.

    Attributes:
        values: the options that the core itself reads, by name.
        facts: what properties and methods of the object say that depend on the options alone.
        problems: errors in the options: a path within them, and a sentence.
        broken: why the plugin is at fault, as a clause.
    """

    values: Mapping[str, Any] = {}
    facts: Mapping[str, Any] = {}
    problems: tuple[tuple[tuple[str | int, ...], str], ...] = ()
    broken: str | None = None


@frozen(kw_only=True)
class Opening:
    """What a runtime is opened with.

    Attributes:
        options: number of the options.
        name: what is opened; see ``Context.name``.
        data_dir: tocsin's data directory.
    """

    options: int
    name: str
    data_dir: str


@frozen(kw_only=True)
class Serving:
    """What a service is run with.

    Attributes:
        number: of its context.
        name, data_dir: see :class:`Opening`.
        api_url, directory, token_file: see ``ServiceContext``.
    """

    number: int
    name: str
    data_dir: str
    api_url: str
    directory: str
    token_file: str


@frozen(kw_only=True)
class Checked:
    """What one run of a check came to.

    Attributes:
        result: the result.
        wrong: what was invalid in it, as a clause.
        host: for a ``down`` result: the host that the check connects to.
    """

    result: Result
    wrong: str | None = None
    host: str | tuple[str, ...] | None = None


@frozen(kw_only=True)
class Asked:
    """A request to a route of a plugin, of which the host decodes query and body.

    Attributes:
        plugin: name of the plugin.
        route: position of the route in what the plugin provides.
        request: the request.
        query: its query parameters.
        document: its decoded body.
        view: number of the view of the running tocsin that the route gets; None: it gets none.
    """

    plugin: str
    route: int
    request: Request
    query: Mapping[str, str] = {}
    document: Any = None
    view: int | None = None


@frozen(kw_only=True)
class Examining:
    """What a check of an installation is run with.

    Attributes:
        plugin: name of the plugin.
        check: position of the check in what the plugin provides.
        number: of its context.
        name: of the check.
        data_dir: tocsin's data directory.
        configuration: see ``Installation``.
        parts: names of what is configured of the plugin, each with its options.
    """

    plugin: str
    check: int
    number: int
    name: str
    data_dir: str
    configuration: Any
    parts: tuple[tuple[str, Options], ...]


@frozen(kw_only=True)
class Answered:
    """The answer of a route: its body, or the status, text and details of a problem."""

    body: bytes = b""
    status: int | None = None
    text: str = ""
    errors: tuple[str, ...] = ()


# The core calls these at a host.

LOAD = Method("load", tuple[tuple[tuple[str, str], ...]], tuple[PluginOffer, ...])
"""Import plugins, each a name and the value of its entry point."""
CONSTRUCT = Method("construct", tuple[Options], Constructed)
PING = Method("ping", tuple[()], int)
"""Answers the number of tasks that finished calls have left behind."""

DEFINE = Method("define", tuple[int, Options], type(None))
FORGET = Method("forget", tuple[int], type(None))
OPEN = Method("open", tuple[int, Opening], type(None))
CLOSE = Method("close", tuple[int], type(None))

CHECK = Method("check", tuple[int, Target], Checked)
JUDGE = Method("judge", tuple[int, Target, Heartbeat | None, float], Checked)
EVALUATE = Method("evaluate", tuple[int, History, datetime], tuple[Verdict, str | None])
SEND = Method("send", tuple[int, Message], tuple[Receipt, str | None])
LISTEN = Method("listen", tuple[int, int], type(None))
"""The second number is that of the controls."""
REVIEW = Method("review", tuple[int, ReviewRequest], tuple[str | None])
EXAMINE = Method("examine", tuple[Examining], list[Finding])
CHANGED = Method("changed", tuple[int, AlertChange], type(None))
RUN_SOURCE = Method("run_source", tuple[int, int, str, float], type(None))
"""The second number is that of the run and of its sink."""
LOGS = Method("logs", tuple[int, str, int], list[LogLine])
RESTART = Method("restart", tuple[int, str], type(None))
INSPECT = Method("inspect", tuple[int, str], dict[str, Any])
RUN_SERVICE = Method("run_service", tuple[int, Serving], type(None))
ROUTE = Method("route", tuple[Asked], Answered)
STREAM = Method("stream", tuple[int, Asked], Answered)
GRANT = Method("grant", tuple[int, int], type(None))
"""A note: so many further bytes of a stream may be sent."""

# A host calls these at the core. The first argument is the number of the runtime.

CHUNK = Method("chunk", tuple[int, bytes], type(None))
"""A note: the next part of a stream."""
LOG = Method("log", tuple[int, str, str, dict[str, Any]], type(None))
"""A note: level, sentence and facts of a line for the log."""
EMIT = Method("emit", tuple[int, Event], type(None))
SECRET = Method("secret", tuple[int, str], tuple[Secret | None])
STORED = Method("stored", tuple[int, str], tuple[Any])
STORE = Method("store", tuple[int, str, Any], type(None), reveals=True)
STORED_KEYS = Method("stored_keys", tuple[int, str], list[str])

REPORT_TROUBLE = Method("report_trouble", tuple[int, str | None], type(None))

# The number is that of a view of the running tocsin, which a route gets.

VIEW_TARGETS = Method("view_targets", tuple[int, int], list[TargetSnapshot])
"""The next targets of an iteration, which the host numbers; none at its end."""
VIEW_ALERTS = Method("view_alerts", tuple[int], list[AlertSnapshot])
VIEW_CHANNELS = Method("view_channels", tuple[int], list[ChannelSnapshot])
VIEW_COMPONENTS = Method("view_components", tuple[int], list[ComponentSnapshot])
VIEW_PLUGINS = Method("view_plugins", tuple[int], list[PluginSnapshot])
VIEW_DESCRIPTIONS = Method("view_descriptions", tuple[int], dict[str, dict[str, Metric]])
VIEW_STATISTICS = Method("view_statistics", tuple[int], Statistics)

REPORT = Method("report", tuple[int, str, list[Any]], type(None))
"""A note: a source calls a method of its sink, with these arguments."""

ACKNOWLEDGE = Method("acknowledge", tuple[int, UUID, str], str)
SILENCE = Method("silence", tuple[int, UUID, float, str], str)
READ_LOGS = Method("read_logs", tuple[int, str, int], list[LogLine])
RESTART_TARGET = Method("restart_target", tuple[int, str, str], str)
