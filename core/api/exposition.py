"""``/metrics`` for Prometheus: text exposition format 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from aiohttp import web

from tocsin.core.api.metrics import values_of
from tocsin.core.api.monitor import Monitor
from tocsin.core.api.routing import Call, Routes
from tocsin.core.model import Health, Status

routes = Routes()
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

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


def render(families: Iterable[Family]) -> str:
    """The families that have samples, as text."""
    lines = []
    for name, kind, text, samples in families:
        rows = [_line(name, labels, value) for labels, value in samples]
        if rows:
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *rows]
    return "\n".join([*lines, ""])


def families(monitor: Monitor) -> Iterator[Family]:
    """All that tocsin exposes."""
    checks = [check for state in monitor.state for check in state.checks.values()]
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
            for t in monitor.state
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
        "Runs left out because the one before was still going or time had passed.",
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
    yield from _own(monitor)


def _own(monitor: Monitor) -> Iterator[Family]:
    """About tocsin itself."""
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
        "tocsin_component_healthy", "gauge", "1 while a component of tocsin is in order, else 0.",
        [
            ({"component": name}, float(part.status in (Health.OK, Health.DISABLED)))
            for name, part in monitor.health().items()
        ],
    )  # fmt: skip
    yield (
        "tocsin_plugin_failed", "gauge", "1 while a plugin is failed, else 0.",
        [({"plugin": r.name}, float(r.status == "failed")) for r in monitor.plugins.records],
    )  # fmt: skip
    yield ("tocsin_checks", "gauge", "Checks scheduled.", [({}, stats.checks)])
    yield ("tocsin_checks_running", "gauge", "Checks running now.", [({}, stats.running)])
    yield ("tocsin_runs_total", "counter", "Runs started.", [({}, stats.runs_total)])
    yield ("tocsin_runs_skipped_total", "counter", "Runs left out.", [({}, stats.skipped_total)])
    yield (
        "tocsin_lateness_seconds", "gauge", "How late recent runs started, by percentile.",
        [
            ({"percentile": "50"}, stats.lateness_p50),
            ({"percentile": "99"}, stats.lateness_p99),
            ({"percentile": "100"}, stats.lateness_max),
        ],
    )  # fmt: skip
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
        ("spool_bytes", "tocsin_history_spool_bytes", "gauge", "History waiting on disk."),
        ("rows_dropped", "tocsin_history_rows_dropped_total", "counter", "Rows of history lost."),
    ):
        yield name, kind, text, [({}, float(details.get(key, 0)))]


@routes.get("/metrics", media="text/plain")
async def metrics(call: Call) -> web.Response:
    """Expose everything to Prometheus."""
    return web.Response(
        body=render(families(call.monitor)).encode(), headers={"Content-Type": CONTENT_TYPE}
    )
