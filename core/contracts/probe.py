"""The contract of probes: what checks a target, and what judges heartbeats."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import frozen

from tocsin.core.contracts.context import Context
from tocsin.core.contracts.metric import Metric
from tocsin.core.contracts.model import Heartbeat, Result, Target
from tocsin.core.units import Seconds


class ProbeRuntime(ABC):
    """What runs the checks of one :class:`Probe`, and keeps what lasts from run to run."""

    __slots__ = ()

    @abstractmethod
    async def check(self, target: Target) -> Result:
        """Check ``target`` once and return the result.

        A failure of the target is a result (``Result.down``). An exception counts as a fault of the
        probe: the check is ``unknown``, and the plugin is named.

        Raises:
            CheckError: nothing can be told of the target, for a reason on tocsin's side. The check
                is ``unknown`` with its message, and the plugin has not failed.
        """

    async def close(self) -> None:
        """Release the runtime's resources; called when its check ends (reload, stop)."""


@frozen(kw_only=True)
class Probe(ProbeRuntime):
    """The options of a check, which runs every ``interval``.

    A probe without state defines :meth:`check`. One that keeps anything from run to run defines
    :meth:`open`.

    Attributes:
        autostart: class variable; checks that exist even if the configuration does not mention the
            probe: by id (``target/check``), each with its options as in ``tocsin.toml``.
        by_label: class variable; whether labels of a container may create a check of this probe.
            Labels come with images, which third parties make: True only for a probe that cannot be
            misused in this way.
        config_only: class variable; options that labels cannot set, because with them the probe
            would read files, change what it checks, or delay other checks.
        metrics: class variable; what the metrics of its results mean, by name.
        interval: seconds between two runs; None: the global ``interval``.
        timeout: seconds after which a run counts as failed. The core cancels a run that lasts
            longer, one second later.
        retries: further tries, immediately, before a ``down`` counts.
    """

    autostart: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    by_label: ClassVar[bool] = False
    config_only: ClassVar[tuple[str, ...]] = ()
    metrics: ClassVar[Mapping[str, Metric]] = {}

    interval: Seconds | None = None
    timeout: Seconds = 10
    retries: int = 0

    async def open(self, context: Context) -> ProbeRuntime:
        """Return what runs the checks; without a definition of its own, the probe itself.

        Called before the first run, for 10 seconds at most. While it fails, the check is
        ``unknown``, and it is called again for the next run.

        Args:
            context: what the core gives to the runtime.

        Raises:
            CheckError: as for :meth:`ProbeRuntime.check`.
        """
        return self

    async def check(self, target: Target) -> Result:
        """Check ``target`` once; see :meth:`ProbeRuntime.check`."""
        raise NotImplementedError(f"{type(self).__name__} defines neither check nor open")

    def network_host(self, target: Target) -> str | tuple[str, ...] | None:
        """Return the host that a check connects to over the network, or several; None or an empty
        tuple: it uses no network.

        While tocsin's own uplink is down (``[uplink]``), a ``down`` becomes ``unknown`` if any of
        these hosts is outside.
        """
        return None


@frozen(kw_only=True)
class PushProbe(ABC):
    """Judges a target by the heartbeats that a job sends to ``POST /api/v1/heartbeats/{name}``.

    Attributes:
        by_label: class variable; see :class:`Probe`.
        config_only: class variable; see :class:`Probe`. ``key`` always belongs to it: the
            configuration decides which check receives a job's heartbeats.
        metrics: class variable; see :class:`Probe`.
        period: seconds between two heartbeats.
        grace: further seconds before a late heartbeat counts as missing.
        key: the name in the URL; None: the target's name.
    """

    by_label: ClassVar[bool] = False
    config_only: ClassVar[tuple[str, ...]] = ()
    metrics: ClassVar[Mapping[str, Metric]] = {}

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
