"""Base classes of the plugin kinds.

A plugin class is an attrs class; its fields are the options a person writes in ``tocsin.toml``
(``field(init=False)`` keeps one private). Types may be plain, ``Seconds``, ``Bytes``, ``Secret``,
enums, lists, mappings, or nested attrs classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol

from attrs import Factory, field, frozen

from tocsin.core.contracts.model import Event, Heartbeat, LogLine, Result, Target
from tocsin.core.units import Seconds


class Secret(str):
    """Text that must never be shown. ``repr`` and structured logs print ``'***'``; it is used, in
    plain, by way of :meth:`reveal`."""

    def reveal(self) -> str:
        """The plain text."""
        return str.__str__(self)

    def __repr__(self) -> str:
        return "'***'"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)


class ActionError(Exception):
    """An action (logs, restart, inspect) could not be done; the message is one clear sentence.

    ``missing`` tells a target that is not there from one that refused.
    """

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


class ServiceError(Exception):
    """A service cannot run; the message is one clear sentence with a remedy.

    ``permanent``: nothing will change by itself (a package is not installed), so that it is tried
    again only when the configuration is read again.
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


@frozen(kw_only=True)
class Probe(ABC):
    """Observes one target each ``interval``.

    Attributes:
        autostart: class variable; checks that there are though the configuration does not mention
            the probe, by id (``target/check``), each with its options as in ``tocsin.toml``.
        by_label: class variable; whether labels of a container may ask for the probe. Labels come
            with images, which strangers make: True only where they can do no harm by it.
        config_only: class variable; options of such a probe that labels cannot set, since with
            them it would read files, change what it looks at, or hold up everything else.
        interval: seconds between two runs; unset, the global ``interval`` holds.
        timeout: seconds after which a run counts as failed. The core cancels a run that is still
            going a little later.
        retries: further tries, at once, before a ``down`` counts.
    """

    autostart: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    by_label: ClassVar[bool] = False
    config_only: ClassVar[tuple[str, ...]] = ()

    interval: Seconds | None = None
    timeout: Seconds = 10
    retries: int = 0

    @abstractmethod
    async def check(self, target: Target) -> Result:
        """Look once at ``target``. Return what was seen; an exception is the probe's fault."""

    def network_host(self, target: Target) -> str | None:
        """The host a check goes to over the network, or None. While tocsin's own uplink is gone
        (``[uplink]``), a ``down`` from a host outside is ``unknown``."""
        return None

    async def close(self) -> None:
        """Let go of what the probe holds; called when its check ends (reload, stop)."""


@frozen(kw_only=True)
class PushProbe(ABC):
    """Judges a target by the beats that a job sends to ``POST /api/v1/heartbeats/{name}``.

    Attributes:
        by_label, config_only: class variables; see :class:`Probe`. ``key`` is always among the
            latter: beats of a job go to whom the configuration says.
        period: seconds between two beats.
        grace: seconds of silence forgiven beyond the period.
        key: the name in the URL; unset, the target's name.
    """

    by_label: ClassVar[bool] = False
    config_only: ClassVar[tuple[str, ...]] = ()

    period: Seconds = 3600
    grace: Seconds = 300
    key: str | None = None

    @abstractmethod
    def judge(self, target: Target, last: Heartbeat | None, silence: float) -> Result:
        """Judge by the ``last`` beat and the seconds of ``silence`` since it. Pure and quick.

        Where there was no beat yet, ``silence`` counts from the time the check began.
        """


@frozen(kw_only=True)
class Claim:
    """What the labels of a target ask for that others may have to be asked about, and what they ask
    for in vain. The target is known by its own name to its source, whatever it is called.

    Attributes:
        name: what it is to be called in place of its own name, where nobody else is; None: so.
        also: names by which the configuration may declare it, or say that others depend on it,
            where it is not called so by its own name: of a container, its service.
        by_image: whether the name may come with the image, and not from who runs the container: it
            counts only where the ``match`` of a declared target accepts it.
        identity: what it is, for the ``match`` of a declared target: its ``name``, ``image``,
            ``project`` and ``service``, as far as it has them.
        depends_on: whether the target's ``depends_on`` is what a label asks for: it does not count
            for a target that the configuration declares, unless its ``match`` accepts this one.
        refused: a sentence for each label that cannot be heeded, which names it. They are shown as
            the message of a check of the target, ``labels``, which is unknown.
    """

    name: str | None = None
    also: tuple[str, ...] = ()
    by_image: bool = False
    identity: Mapping[str, str] = Factory(dict)
    depends_on: bool = False
    refused: tuple[str, ...] = ()


class Sink(Protocol):
    """Where a source puts what it sees. Every method may be called from any thread."""

    def discovered(
        self,
        target: Target,
        checks: Mapping[str, Mapping[str, Any]] | None = None,
        claim: Claim | None = None,
    ) -> None:
        """A target is there (or changed). ``checks`` are further checks its labels ask for, each a
        table as in ``tocsin.toml``: ``{"http": {"probe": "http", "url": …}}``; with ``unable``, a
        clause that says why, it cannot run for now and is unknown. Only probes that are
        ``by_label``, or named in the source's ``label_probes``, are used. ``claim`` is what else
        its labels ask for."""

    def observed(self, target: str, result: Result, at: datetime | None = None) -> None:
        """The state of a target, now unless ``at`` (aware UTC) says otherwise."""

    def happened(self, event: Event) -> None:
        """An event to keep in the target's history."""

    def retired(self, target: str, message: str) -> None:
        """The target was removed on purpose. One declared in config turns ``down``, "missing"."""

    def synced(self, targets: Collection[str]) -> None:
        """A full inventory was taken: what is not in ``targets`` is gone; tocsin sees again."""

    def impaired(self, message: str) -> None:
        """The source cannot see: its targets turn ``unknown`` until :meth:`synced`."""


@frozen(kw_only=True)
class Source(ABC):
    """Streams observations of many targets.

    Attributes:
        autostart: class variable; a name under which one instance with default options runs
            though the configuration does not mention it, or None.
        interval: seconds between two samples of metrics; unset, the global ``interval`` holds.
        label_probes: further probes that labels may ask for, with all their options.
        label_timeout: seconds that labels may ask for as a timeout, at most.
        label_interval: seconds that labels may ask for as an interval or period, at least.
        label_checks: checks that the labels of one container may ask for.
        label_checks_in_all: checks that the labels of all its targets together may ask for.
    """

    autostart: ClassVar[str | None] = None
    target_kind: ClassVar[str] = "container"

    interval: Seconds | None = None
    label_probes: tuple[str, ...] = ()
    label_timeout: Seconds = 30
    label_interval: Seconds = 5
    label_checks: int = 20
    label_checks_in_all: int = 1000

    @abstractmethod
    async def run(self, name: str, interval: float, sink: Sink) -> None:
        """Watch until cancelled, under the configured ``name``; tell ``sink``.

        An exception ends this run; the core tells of it and starts a new one after a backoff.
        """

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        """The last ``lines`` lines of a target, oldest first. Raises ActionError."""
        raise ActionError(f"{target} keeps no logs that tocsin can read")

    async def restart(self, target: str) -> None:
        """Restart a target. Raises ActionError."""
        raise ActionError(f"{target} cannot be restarted by tocsin")

    async def inspect(self, target: str) -> Mapping[str, Any]:
        """All that the source knows, JSON-serialisable; the core hides secrets. Raises
        ActionError."""
        raise ActionError(f"{target} cannot be inspected by tocsin")


@frozen(kw_only=True)
class ServiceContext:
    """What a service is given.

    Attributes:
        api_url: where the API is.
        directory: a place of its own to keep things in, there and mode 0700.
        token_file: holds a token of the role viewer, mode 0600: what the service reads with.
    """

    api_url: str
    directory: Path
    token_file: Path


@frozen(kw_only=True)
class Service(ABC):
    """A long-running companion that the core starts, supervises and stops."""

    @abstractmethod
    async def run(self, context: ServiceContext) -> None:
        """Serve until cancelled. An exception ends this run; a new one starts after a backoff.

        Raises:
            ServiceError: it cannot run, and why.
        """

    def url(self) -> str | None:
        """Where people find it; shown when tocsin starts."""
        return None


def private(**kwargs: Any) -> Any:
    """A field that is not an option: state a plugin keeps for itself (``init=False``)."""
    return field(init=False, repr=False, eq=False, **kwargs)
