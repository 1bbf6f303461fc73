"""The heartbeat probe: a job that stops reporting is down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from attrs import field as option
from attrs import frozen, validators

from tocsin import (
    Heartbeat,
    Metric,
    PushProbe,
    Result,
    Seconds,
    Status,
    Target,
    format_duration,
    hookimpl,
)
from tocsin.plugins.probes import _metrics


@frozen(kw_only=True)
class HeartbeatProbe(PushProbe):
    """Expect a job to report to POST /api/v1/heartbeats/NAME; down if it stops reporting.

    Attributes:
        period: longest time between two reports of the job.
        grace: further time for a late report; late is degraded, later than the grace is down.
        key: NAME in the URL; unset: the target's name.
    """

    metrics: ClassVar[Mapping[str, Metric]] = _metrics.HEARTBEAT
    by_label: ClassVar[bool] = True

    period: Seconds = option(default=3600.0, validator=validators.gt(0))
    grace: Seconds = option(default=300.0, validator=validators.ge(0))

    def judge(self, target: Target, last: Heartbeat | None, silence: float) -> Result:
        """Return the result for the last report (None: none yet) and the seconds since then."""
        expected = f"expected every {format_duration(self.period)}"
        if silence > self.period + self.grace:
            if last is None:
                return Result.down(f"no beat in {format_duration(silence)}, {expected}")
            return Result.down(
                f"silent for {format_duration(silence)}, {expected}",
                metrics={"heartbeat_age_seconds": silence},
            )
        if last is None:
            return Result.unknown(f"waiting for the first beat, {expected}")
        metrics: Mapping[str, float] = {**last.metrics, "heartbeat_age_seconds": silence}
        if last.status is Status.DOWN:
            return Result.down(last.message or "the job reported a failure", metrics=metrics)
        if silence > self.period:
            return Result.degraded(
                f"late: silent for {format_duration(silence)}, {expected}", metrics=metrics
            )
        return Result.up(last.message or "the job reported in time", metrics=metrics)


@hookimpl
def tocsin_probes() -> dict[str, type[PushProbe]]:
    """Register the probe."""
    return {"heartbeat": HeartbeatProbe}
