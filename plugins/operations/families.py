"""The metric families that tocsin exposes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

from tocsin import (
    AlertSnapshot,
    ChannelSnapshot,
    CheckSnapshot,
    ComponentSnapshot,
    Health,
    Metric,
    PluginSnapshot,
    Statistics,
    Status,
    TargetSnapshot,
)
from tocsin.plugins.operations.exposition import Family, escape, labels_of


@frozen(kw_only=True)
class Reading:
    """What is exposed."""

    targets: Sequence[TargetSnapshot]
    alerts: Sequence[AlertSnapshot]
    channels: Sequence[ChannelSnapshot]
    components: Sequence[ComponentSnapshot]
    plugins: Sequence[PluginSnapshot]
    descriptions: Mapping[str, Mapping[str, Metric]]
    statistics: Statistics


_STATUS = {status: labels_of(status=status.value) for status in Status}


def families(reading: Reading) -> Iterator[Family]:
    """Yield all metric families that tocsin exposes."""
    checks = [
        (f'{target},check="{escape(check.name)}"', check)
        for one in reading.targets
        for target in (labels_of(target=one.target.name),)
        for check in one.checks
    ]
    yield (
        "tocsin_check_up", "gauge",
        "1 while a check is up or degraded, 0 while it is down; absent while it is unknown.",
        (
            (labels, float(c.status is not Status.DOWN))
            for labels, c in checks
            if c.status is not Status.UNKNOWN
        ),
    )  # fmt: skip
    yield (
        "tocsin_check_status", "gauge", "1 for the status a check is in, 0 for the others.",
        (
            (f"{labels},{status}", float(c.status is s))
            for labels, c in checks
            for s, status in _STATUS.items()
        ),
    )  # fmt: skip
    yield (
        "tocsin_target_status", "gauge", "1 for the status a target is in, 0 for the others.",
        (
            (f"{labels},{status}", float(one.status is s))
            for one in reading.targets
            for labels in (labels_of(target=one.target.name, kind=one.target.kind),)
            for s, status in _STATUS.items()
        ),
    )  # fmt: skip
    yield (
        "tocsin_check_latency_seconds", "gauge", "How long the last run of a check took.",
        (
            (labels, c.latency)
            for labels, c in checks
            if c.latency is not None
        ),
    )  # fmt: skip
    yield (
        "tocsin_check_runs_total", "counter", "Results of a check since the start.",
        ((labels, float(c.runs)) for labels, c in checks),
    )  # fmt: skip
    yield (
        "tocsin_check_skipped_total", "counter",
        "Runs skipped because the previous one was still running or it was too late.",
        ((labels, float(c.skipped)) for labels, c in checks),
    )  # fmt: skip
    yield (
        "tocsin_check_metric", "gauge", "What a check measured; the unit is in the metric's name.",
        (
            (f'{labels},metric="{escape(name)}"', value)
            for labels, c in checks
            for name, value in c.metrics.items()
        ),
    )  # fmt: skip
    yield from _containers(reading.targets)
    yield from _own(reading)
    yield from _declared(reading.descriptions, checks)


def _declared(
    descriptions: Mapping[str, Mapping[str, Metric]], checks: Sequence[tuple[str, CheckSnapshot]]
) -> Iterator[Family]:
    """Yield the families that probes declare. If several declare one, the first help counts."""
    wanted: dict[str, tuple[Metric, dict[str, str]]] = {}
    for probe, metrics in descriptions.items():
        for name, metric in metrics.items():
            if metric.family is not None:
                wanted.setdefault(metric.family, (metric, {}))[1][probe] = name
    for family, (metric, names) in sorted(wanted.items()):
        yield (
            family, metric.kind.value, metric.help.replace("\\", "\\\\"),
            [
                (labels, value)
                for labels, check in checks
                if (value := check.metrics.get(names.get(check.probe, ""))) is not None
            ],
        )  # fmt: skip


def _containers(targets: Sequence[TargetSnapshot]) -> Iterator[Family]:
    """Yield the families of container facts, in base units."""
    facts = [
        (labels_of(target=one.target.name), container)
        for one in targets
        if (container := one.container) is not None
    ]

    def family(name: str, kind: str, text: str, attribute: str, scale: float = 1.0) -> Family:
        values = ((labels, getattr(container, attribute)) for labels, container in facts)
        samples = ((labels, float(value) * scale) for labels, value in values if value is not None)
        return f"tocsin_container_{name}", kind, text, samples

    yield (
        "tocsin_container_running", "gauge", "1 while a container runs, else 0.",
        (
            (f'{labels},image="{escape(c.image)}"', float(c.state == "running"))
            for labels, c in facts
        ),
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
            (labels, c.started_at.timestamp())
            for labels, c in facts
            if c.started_at is not None and c.state == "running"
        ),
    )  # fmt: skip


def _own(reading: Reading) -> Iterator[Family]:
    """Yield the families about tocsin itself."""
    stats = reading.statistics
    yield (
        "tocsin_build_info", "gauge", "The version that runs; always 1.",
        [(labels_of(version=stats.version), 1.0)],
    )  # fmt: skip
    yield (
        "tocsin_start_time_seconds", "gauge", "When tocsin started, in seconds since the epoch.",
        [("", stats.started_at.timestamp())],
    )  # fmt: skip
    yield (
        "tocsin_component_healthy", "gauge", "1 while a component of tocsin is healthy, else 0.",
        [
            (labels_of(component=part.name), float(part.status in (Health.OK, Health.DISABLED)))
            for part in reading.components
        ],
    )  # fmt: skip
    yield (
        "tocsin_plugin_failed", "gauge", "1 while a plugin has failed, else 0.",
        [(labels_of(plugin=r.name), float(r.status == "failed")) for r in reading.plugins],
    )  # fmt: skip
    yield ("tocsin_checks", "gauge", "Checks scheduled.", [("", stats.checks)])
    yield ("tocsin_checks_running", "gauge", "Checks running now.", [("", stats.running)])
    yield ("tocsin_runs_total", "counter", "Runs started.", [("", stats.runs)])
    yield ("tocsin_runs_skipped_total", "counter", "Runs skipped.", [("", stats.skipped)])
    yield (
        "tocsin_lateness_seconds", "gauge", "Delay of the start of recent runs, by percentile.",
        [
            (labels_of(percentile="50"), stats.lateness_p50),
            (labels_of(percentile="99"), stats.lateness_p99),
            (labels_of(percentile="100"), stats.lateness_max),
        ],
    )  # fmt: skip
    yield from _alerting(reading)
    database = [part.numbers for part in reading.components if part.name == "database"]
    numbers = database[0] if database else {}
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
        yield name, kind, text, [("", numbers.get(key, 0.0))]


def _alerting(reading: Reading) -> Iterator[Family]:
    """Yield the families about alerts and channels."""
    yield (
        "tocsin_alert_firing", "gauge", "1 for each alert that fires.",
        [
            (
                labels_of(alert=a.rule, target=a.target, severity=a.severity.value, state=a.state),
                1.0,
            )
            for a in reading.alerts
        ],
    )  # fmt: skip
    yield (
        "tocsin_channel_messages_sent_total", "counter", "Messages a channel has delivered.",
        [(labels_of(channel=c.name), float(c.sent)) for c in reading.channels],
    )  # fmt: skip
    yield (
        "tocsin_channel_attempts_failed_total", "counter", "Attempts to deliver that failed.",
        [(labels_of(channel=c.name), float(c.failed)) for c in reading.channels],
    )  # fmt: skip
    yield (
        "tocsin_channel_notices_waiting", "gauge", "Notifications a channel has not delivered yet.",
        [(labels_of(channel=c.name), float(c.waiting)) for c in reading.channels],
    )  # fmt: skip
    yield (
        "tocsin_journal_entries_waiting", "gauge", "Entries that the journal could not write yet.",
        [("", float(reading.statistics.journal_waiting))],
    )  # fmt: skip
