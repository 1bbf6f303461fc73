"""What the core gives to the runtime of a plugin: log, clock, network, threads, storage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeAlias, TypeVar

from tocsin.core.contracts.base import Secret
from tocsin.core.contracts.model import Event

if TYPE_CHECKING:  # commands that only ask the API do without it
    import aiohttp

P = ParamSpec("P")
T = TypeVar("T")

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"
"""A value that JSON can hold."""


class Log(Protocol):
    """A log for one runtime. ``event`` is a sentence that is the same each time; what differs goes
    into the facts: ``log.warning("the server refused the login", host=host)``."""

    def debug(self, event: str, **facts: object) -> object:
        """Log what only a developer needs."""

    def info(self, event: str, **facts: object) -> object:
        """Log normal operation."""

    def warning(self, event: str, **facts: object) -> object:
        """Log what a person should look at."""

    def error(self, event: str, **facts: object) -> object:
        """Log a failure."""


class PluginClock(Protocol):
    """The clock, which tests can set."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; the value never decreases."""

    def now(self) -> datetime:
        """Return the wall clock time as an aware datetime in UTC."""

    async def sleep(self, seconds: float) -> None:
        """Wait for a number of seconds of the monotonic time."""


class Storage(Protocol):
    """Small values that a plugin keeps over restarts; all its runtimes share them.

    What has been stored is on disk when the call returns. Every method raises OSError if the disk
    cannot be read or written.
    """

    async def get(self, key: str) -> Json:
        """Return the value of ``key``; None if there is none."""

    async def keys(self, prefix: str = "") -> list[str]:
        """Return the keys that begin with ``prefix``, sorted; without one, all."""

    async def put(self, key: str, value: Json) -> None:
        """Store a value.

        Args:
            key: at most 200 characters.
            value: at most 64 KiB as JSON; None removes the key.

        Raises:
            ValueError: the key or the value is too long, or no JSON, or the plugin has 1,000 keys
                already.
        """


class Context(Protocol):
    """What the core gives to a runtime when it is opened; valid until the runtime is closed."""

    @property
    def plugin(self) -> str:
        """Return the name of the plugin."""

    @property
    def name(self) -> str:
        """Return what is opened: the id of a check (``site/http``), or the name of a source,
        channel, observer or service."""

    @property
    def log(self) -> Log:
        """Return a log whose lines carry the names of the plugin and of what is opened."""

    @property
    def clock(self) -> PluginClock:
        """Return the clock."""

    @property
    def storage(self) -> Storage:
        """Return the plugin's values that survive restarts."""

    @property
    def directory(self) -> Path:
        """Return a directory for this plugin alone, with mode 0700. It is created when it is first
        used.

        Raises:
            OSError: it cannot be created.
        """

    @property
    def http(self) -> aiohttp.ClientSession:
        """Return the HTTP session that all runtimes of the plugin share. It resolves names as
        :class:`~tocsin.TocsinResolver` does; do not close it."""

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that blocks in a thread, and return its result.

        The threads belong to the plugin. A call that is cancelled goes on in its thread.
        """

    async def secret(self, name: str) -> Secret | None:
        """Return a secret from the environment: the variable ``name``, or the content of the file
        that the variable ``name_FILE`` names; None if neither is set. Logs and messages never show
        it.

        Raises:
            OSError: the file cannot be read.
        """

    async def emit(self, event: Event) -> None:
        """Record an event of a target; it is kept in the target's history, and rules see it.

        After 100 events at once, a plugin may emit ten a second; those beyond that are dropped, and
        the log names the plugin. The call never waits.
        """

    async def report_trouble(self, trouble: str | None) -> None:
        """Show in ``/health`` whether this runtime can do its work, until it is closed.

        The component has the name of the plugin; if what was opened has another name, that follows
        after a dot. While there is a trouble, the component is degraded, and the alert
        ``monitor_impaired`` names it.

        Args:
            trouble: one sentence, of which 300 characters are shown; None: there is none.
        """
