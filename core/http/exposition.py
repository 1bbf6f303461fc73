"""``/metrics`` for Prometheus: text exposition format 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/

The text is written here and not by prometheus-client, which takes four times the CPU and blocks the
event loop while it writes.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator, Mapping

from aiohttp import web

from tocsin.core.contracts.model import Health, Status
from tocsin.core.contracts.route import Routes
from tocsin.core.http.metrics import values_of
from tocsin.core.http.monitor import Monitor
from tocsin.core.http.routing import Call
from tocsin.core.http.views import is_container
from tocsin.core.state import TargetState

routes = Routes()
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BREATH = 2000
"""Lines after which the event loop is yielded to, so that checks stay on time."""

Sample = tuple[Mapping[str, str], float]
Family = tuple[str, str, str, Iterable[Sample]]
"""Name, type, help, samples."""


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    inner = ",".join(f'{key}="{_escape(text)}"' for key, text in labels.items())
    if math.isinf(value):
        number = "+Inf" if value > 0 else "-Inf"
    else:
        number = "NaN" if math.isnan(value) else repr(float(value))
    return f"{name}{{{inner}}} {number}" if inner else f"{name} {number}"


async def render(families: Iterable[Family]) -> str:
    """Return the families that have samples as text in the exposition format."""
    lines: list[str] = []
    count = 0
    for name, kind, text, samples in families:
        rows = []
        for labels, value in samples:
            rows.append(_line(name, labels, value))
            count += 1
            if count % BREATH == 0:
                await asyncio.sleep(0)
        if rows:
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *rows]
    return "\n".join([*lines, ""])


def families(monitor: Monitor) -> Iterator[Family]:
    """Yield all metric families that tocsin exposes."""
    # Copies: targets may be added or removed while the text is written piece by piece.
    targets = list(monitor.state)
    checks = [check for state in targets for check in state.checks.values()]
    yield (
        "tocsin_check_up", "gauge",
        "1 while a check is up or degraded, 0 while it is down; absent while it is unknown.",
        (
            ({"target": c.target, "check": c.name}, float(c.status is not Status.DOWN))
            for c in checks
            if c.status is not Status.UNKNOWN
        ),
    )  # fmt: skip
    yield (
        "tocsin_check_status", "gauge", "1 for the status a check is in, 0 for the others.",
        (
            ({"target": c.target, "check": c.name, "status": s.value}, float(c.status is s))
            for c in checks
            for s in Status
        ),
    )  # fmt: skip
    yield (
        "tocsin_target_status", "gauge", "1 for the status a target is in, 0 for the others.",
        (
            (
                {"target": t.target.name, "kind": t.target.kind, "status": s.value},
                float(t.status is s),
            )
            for t in targets
            for s in Status
        ),
    )  # fmt: skip
    yield (
        "tocsin_check_latency_seconds", "gauge", "How long the last run of a check took.",
        (
            ({"target": c.target, "check": c.name}, c.last.result.latency)
            for c in checks
            if c.last is not None and c.last.result.latency is not None
        ),
    )  # fmt: skip
    yield (
        "tocsin_check_runs_total", "counter", "Results of a check since the start.",
        (({"target": c.target, "check": c.name}, float(c.runs)) for c in checks),
    )  # fmt: skip
    yield (
        "tocsin_check_skipped_total", "counter",
        "Runs skipped because the previous one was still running or it was too late.",
        (({"target": c.target, "check": c.name}, float(c.skipped)) for c in checks),
    )  # fmt: skip
    yield (
        "tocsin_check_metric", "gauge", "What a check measured; the unit is in the metric's name.",
        (
            ({"target": c.target, "check": c.name, "metric": name}, value)
            for c in checks
            if c.last is not None
            for name, value in values_of(
                c.last.result.container, c.last.result.metrics
            ).items()
        ),
    )  # fmt: skip
    yield from _containers(targets)
    yield from _own(monitor)


def _containers(targets: list[TargetState]) -> Iterator[Family]:
    """Yield the families of container facts, in base units."""
    facts = [
        (state.target.name, container)
        for state in targets
        if is_container(state) and (container := state.container) is not None
    ]

    def family(name: str, kind: str, text: str, attribute: str, scale: float = 1.0) -> Family:
        values = ((target, getattr(container, attribute)) for target, container in facts)
        samples = (({"target": t}, float(v) * scale) for t, v in values if v is not None)
        return f"tocsin_container_{name}", kind, text, samples

    yield (
        "tocsin_container_running", "gauge", "1 while a container runs, else 0.",
        (({"target": t, "image": c.image}, float(c.state == "running")) for t, c in facts),
    )  # fmt: skip
    yield family("cpu_usage_cores", "gauge", "Cores in use.", "cpu_percent", 0.01)
    yield family(
        "memory_usage_bytes", "gauge", "Memory in use, less inactive file cache.", "memory_bytes"
    )
    yield family("memory_limit_bytes", "gauge", "Memory limit.", "memory_limit_bytes")
    yield family(
        "network_receive_bytes_total", "counter", "Bytes received.", "network_rx_bytes"
    )  # fmt: skip
    yield family("network_transmit_bytes_total", "counter", "Bytes sent.", "network_tx_bytes")
    yield family(
        "restarts_total", "counter", "Restarts by the engine since its creation.", "restart_count"
    )
    yield (
        "tocsin_container_start_time_seconds", "gauge",
        "When a running container started, in seconds since the epoch.",
        (
            ({"target": t}, c.started_at.timestamp())
            for t, c in facts
            if c.started_at is not None and c.state == "running"
        ),
    )  # fmt: skip


def _own(monitor: Monitor) -> Iterator[Family]:
    """Yield the families about tocsin itself."""
    stats = monitor.stats()
    yield (
        "tocsin_build_info", "gauge", "The version that runs; always 1.",
        [({"version": monitor.version}, 1.0)],
    )  # fmt: skip
    yield (
        "tocsin_start_time_seconds", "gauge", "When tocsin started, in seconds since the epoch.",
        [({}, monitor.started_at.timestamp())],
    )  # fmt: skip
    yield (
        "tocsin_component_healthy", "gauge", "1 while a component of tocsin is healthy, else 0.",
        [
            ({"component": name}, float(part.status in (Health.OK, Health.DISABLED)))
            for name, part in monitor.health().items()
        ],
    )  # fmt: skip
    yield (
        "tocsin_plugin_failed", "gauge", "1 while a plugin has failed, else 0.",
        [({"plugin": r.name}, float(r.status == "failed")) for r in monitor.plugins.records],
    )  # fmt: skip
    yield ("tocsin_checks", "gauge", "Checks scheduled.", [({}, stats.checks)])
    yield ("tocsin_checks_running", "gauge", "Checks running now.", [({}, stats.running)])
    yield ("tocsin_runs_total", "counter", "Runs started.", [({}, stats.runs_total)])
    yield ("tocsin_runs_skipped_total", "counter", "Runs skipped.", [({}, stats.skipped_total)])
    yield (
        "tocsin_lateness_seconds", "gauge", "Delay of the start of recent runs, by percentile.",
        [
            ({"percentile": "50"}, stats.lateness_p50),
            ({"percentile": "99"}, stats.lateness_p99),
            ({"percentile": "100"}, stats.lateness_max),
        ],
    )  # fmt: skip
    yield from _alerting(monitor)
    details = monitor.store.health().details
    for key, name, kind, text in (
        (
            "rows_written",
            "tocsin_history_rows_written_total",
            "counter",
            "Rows of history written.",
        ),
        (
            "rows_waiting",
            "tocsin_history_rows_waiting",
            "gauge",
            "Rows of history not written yet.",
        ),
        (
            "spool_bytes",
            "tocsin_history_spool_bytes",
            "gauge",
            "Size of the history waiting on disk.",
        ),
        ("rows_dropped", "tocsin_history_rows_dropped_total", "counter", "Rows of history lost."),
    ):
        yield name, kind, text, [({}, float(details.get(key, 0)))]


def _alerting(monitor: Monitor) -> Iterator[Family]:
    """Yield the families about alerts and channels."""
    alerting = monitor.alerting
    yield (
        "tocsin_alert_firing", "gauge", "1 for each alert that fires.",
        [
            (
                {"alert": a.rule, "target": a.target, "severity": a.severity.value,
                 "state": a.state},
                1.0,
            )
            for a in alerting.active()
        ],
    )  # fmt: skip
    channels = list(alerting.channels.items())
    yield (
        "tocsin_channel_messages_sent_total", "counter", "Messages a channel has delivered.",
        [({"channel": name}, float(c.record.sent_total)) for name, c in channels],
    )  # fmt: skip
    yield (
        "tocsin_channel_attempts_failed_total", "counter", "Attempts to deliver that failed.",
        [({"channel": name}, float(c.record.failed_total)) for name, c in channels],
    )  # fmt: skip
    yield (
        "tocsin_channel_notices_waiting", "gauge", "Notifications a channel has not delivered yet.",
        [({"channel": name}, float(len(c.queue.rows))) for name, c in channels],
    )  # fmt: skip
    yield (
        "tocsin_journal_entries_waiting", "gauge", "Entries that the journal could not write yet.",
        [({}, float(alerting.journal.waiting))],
    )  # fmt: skip


@routes.get("/metrics", media="text/plain")
async def metrics(call: Call) -> web.Response:
    """Return all metrics in the Prometheus text format."""
    text = await render(families(call.monitor))
    # The name of a third-party metric may contain a lone surrogate, which UTF-8 cannot encode.
    return web.Response(
        body=text.encode("utf-8", "replace"), headers={"Content-Type": CONTENT_TYPE}
    )
