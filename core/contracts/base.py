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
    """Text that must never be shown: ``str``, ``repr``, formatting and logs give ``'***'``. A
    plugin gets the plain text from :meth:`reveal` at the moment it needs it."""

    def reveal(self) -> str:
        """Return the plain text."""
        return str.__str__(self)

    def __repr__(self) -> str:
        return "'***'"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)


class ActionError(Exception):
    """An action (logs, restart, inspect) could not be done; the message is one clear sentence.

    Args:
        message: the sentence.
        missing: the target does not exist, or keeps no such thing; False: it refused.
    """

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


class ServiceError(Exception):
    """A service cannot run; the message is one clear sentence with a remedy.

    Args:
        message: the sentence.
        permanent: the cause does not disappear without a person (a package is not installed): the
            service is not started again until the configuration is reloaded.
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


@frozen(kw_only=True)
class Probe(ABC):
    """Checks one target every ``interval``.

    Attributes:
        autostart: class variable; checks that exist even if the configuration does not mention the
            probe: by id (``target/check``), each with its options as in ``tocsin.toml``.
        by_label: class variable; whether labels of a container may create a check of this probe.
            Labels come with images, which third parties make: True only for a probe that cannot be
            misused in this way.
        config_only: class variable; options that labels cannot set, because with them the probe
            would read files, change what it checks, or delay other checks.
        interval: seconds between two runs; None: the global ``interval``.
        timeout: seconds after which a run counts as failed. The core cancels a run that lasts
            longer, one second later.
        retries: further tries, immediately, before a ``down`` counts.
    """

    autostart: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    by_label: ClassVar[bool] = False
    config_only: ClassVar[tuple[str, ...]] = ()

    interval: Seconds | None = None
    timeout: Seconds = 10
    retries: int = 0

    @abstractmethod
    async def check(self, target: Target) -> Result:
        """Check ``target`` once and return the result.

        A failure of the target is a result (``Result.down``). An exception counts as a fault of the
        probe: the check is ``unknown``, and the plugin is named.
        """

    def network_host(self, target: Target) -> str | None:
        """Return the host that a check connects to over the network; None: it uses no network.

        While tocsin's own uplink is down (``[uplink]``), a ``down`` of a host outside becomes
        ``unknown``.
        """
        return None

    async def close(self) -> None:
        """Release the probe's resources; called when its check ends (reload, stop)."""


@frozen(kw_only=True)
class PushProbe(ABC):
    """Judges a target by the heartbeats that a job sends to ``POST /api/v1/heartbeats/{name}``.

    Attributes:
        by_label, config_only: class variables; see :class:`Probe`. ``key`` always counts as
            ``config_only``: the configuration decides which check receives a job's heartbeats.
        period: seconds between two heartbeats.
        grace: further seconds before a late heartbeat counts as missing.
        key: the name in the URL; None: the target's name.
    """

    by_label: ClassVar[bool] = False
    config_only: ClassVar[tuple[str, ...]] = ()

    period: Seconds = 3600
    grace: Seconds = 300
    key: str | None = None

    @abstractmethod
    def judge(self, target: Target, last: Heartbeat | None, silence: float) -> Result:
        """Return the result now. Pure and quick.

        Args:
            target: the target of the check.
            last: the last heartbeat; None: there was none.
            silence: seconds since the last heartbeat, or since the check began.
        """


@frozen(kw_only=True)
class Claim:
    """What the labels of a target ask for and the core has to decide, and what was refused.

    The source keeps using the target's own name, whatever name the core gives to it.

    Attributes:
        name: the name that a label asks for; None: the target's own name. The core uses it unless
            another target already has it.
        also: further names by which the configuration may mean the target: of a container, its
            service.
        by_image: whether the name may come from the image and not from the person who runs the
            container. It is then used only if ``match`` of a declared target accepts this one.
        identity: ``name``, ``image``, ``project`` and ``service`` of the target, as far as it has
            them, for the ``match`` of a declared target.
        depends_on: whether the target's ``depends_on`` comes from a label. A target that the
            configuration declares ignores it, unless its ``match`` accepts this one.
        refused: a sentence for each label that cannot be used, which names the label. They are
            shown as the message of the check ``labels`` of the target, which is ``unknown``.
    """

    name: str | None = None
    also: tuple[str, ...] = ()
    by_image: bool = False
    identity: Mapping[str, str] = Factory(dict)
    depends_on: bool = False
    refused: tuple[str, ...] = ()


class Sink(Protocol):
    """Receives what a source reports. Every method may be called from any thread; in a thread other
    than the core's, a call may wait for room in a queue."""

    def discovered(
        self,
        target: Target,
        checks: Mapping[str, Mapping[str, Any]] | None = None,
        claim: Claim | None = None,
    ) -> None:
        """Report a target that exists, or has changed.

        Args:
            target: the target, under its own name.
            checks: further checks that its labels ask for, by name, each a table as in
                ``tocsin.toml``: ``{"http": {"probe": "http", "url": …}}``. A table with ``unable``,
                a clause, is a check that cannot run for now and is ``unknown`` for that reason.
                Only probes that are ``by_label`` or named in ``label_probes`` are used.
            claim: what else its labels ask for.
        """

    def observed(self, target: str, result: Result, at: datetime | None = None) -> None:
        """Report the state of a target. ``at``: when it was seen, aware UTC; None: now."""

    def happened(self, event: Event) -> None:
        """Report an event, which is kept in the target's history."""

    def retired(self, target: str, message: str) -> None:
        """Report that a target was removed on purpose; ``message`` says how, as a clause. If the
        configuration declares the target, it becomes ``down`` (missing)."""

    def synced(self, targets: Collection[str]) -> None:
        """Report a full inventory: targets that are not in it are gone. It also ends the state set
        by :meth:`impaired`."""

    def impaired(self, message: str) -> None:
        """Report that the source cannot see its targets: ``unknown`` until :meth:`synced`."""


@frozen(kw_only=True)
class Source(ABC):
    """Streams observations of many targets.

    Attributes:
        autostart: class variable; the name under which an instance with default options runs even
            if the configuration does not mention it; None: no such instance.
        target_kind: class variable; the kind of the targets that it finds.
        interval: seconds between two samples of metrics; None: the global ``interval``.
        label_probes: further probes that labels may use, with all their options.
        label_timeout: the longest timeout in seconds that labels may set.
        label_interval: the shortest interval or period in seconds that labels may set.
        label_checks: the most checks that the labels of one target may create.
        label_checks_in_all: the most checks that the labels of all its targets may create.
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
        """Watch until cancelled, and report to ``sink``.

        An exception ends the run; the core reports it and starts a new run after a backoff.

        Args:
            name: the source's name in the configuration.
            interval: seconds between two samples of metrics.
            sink: receives what the source reports during this run.
        """

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        """Return the last ``lines`` lines of a target's log, oldest first. Raises ActionError."""
        raise ActionError(f"{target} keeps no logs that tocsin can read")

    async def restart(self, target: str) -> None:
        """Restart a target. Raises ActionError."""
        raise ActionError(f"{target} cannot be restarted by tocsin")

    async def inspect(self, target: str) -> Mapping[str, Any]:
        """Return all that the source knows of a target, JSON-serialisable; the core removes secrets
        from it. Raises ActionError."""
        raise ActionError(f"{target} cannot be inspected by tocsin")


@frozen(kw_only=True)
class ServiceContext:
    """What a service gets from the core.

    Attributes:
        api_url: the URL of the API.
        directory: a directory for this service alone; it exists and has mode 0700.
        token_file: a file of mode 0600 with an API token of the role viewer.
    """

    api_url: str
    directory: Path
    token_file: Path


@frozen(kw_only=True)
class Service(ABC):
    """A long-running part, such as the dashboard, that the core starts, supervises and stops."""

    @abstractmethod
    async def run(self, context: ServiceContext) -> None:
        """Serve until cancelled. An exception ends the run; the core starts a new one after a
        backoff.

        Raises:
            ServiceError: the service cannot run.
        """

    def url(self) -> str | None:
        """Return the URL at which people open the service, shown when tocsin starts; None if there
        is none."""
        return None


def private(**kwargs: Any) -> Any:
    """Return an attrs field that holds a plugin's internal state and is not an option
    (``init=False``). Takes the arguments of ``attrs.field``."""
    return field(init=False, repr=False, eq=False, **kwargs)
