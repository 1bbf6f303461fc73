"""What plugins say about the metrics that they measure, and where it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from attrs import fields, frozen

from tocsin import (
    CheckSnapshot,
    Container,
    Heartbeat,
    Metric,
    MetricKind,
    Probe,
    Result,
    Statistics,
    Status,
    Target,
    TargetSnapshot,
    hookimpl,
)
from tocsin.core.contracts.container import CONTAINER_METRICS
from tocsin.core.plugin.manager import PluginManager
from tocsin.plugins.operations.exposition import render
from tocsin.plugins.operations.families import Reading, families
from tocsin.plugins.operations.metrics import routes
from tocsin.plugins.probes.disk import DiskProbe
from tocsin.plugins.probes.docker_health.source import DockerSource
from tocsin.plugins.probes.heartbeat import HeartbeatProbe
from tocsin.testing import FixedSystem, SettableClock, check_route_conformance

QUEUE = {
    "length": Metric(help='Jobs that "wait".', family="queue_length"),
    "jobs": Metric(help="Jobs done.", kind=MetricKind.COUNTER, family="queue_jobs_total"),
    "age_seconds": Metric(help="Age of the oldest job.", unit="seconds"),
}


@frozen(kw_only=True)
class QueueProbe(Probe):
    """Watch a queue."""

    metrics: ClassVar[Mapping[str, Metric]] = QUEUE

    async def check(self, target: Target) -> Result:
        return Result.up(metrics={"length": 3.0})


def plugin(cls: Any) -> Any:
    """A plugin that provides a probe."""
    return SimpleNamespace(tocsin_probes=hookimpl(lambda: {"queue": cls}))


def reading(*targets: TargetSnapshot, **descriptions: Mapping[str, Metric]) -> Reading:
    """What is exposed of these targets."""
    return Reading(
        targets=targets, alerts=(), channels=(), components=(), plugins=(),
        statistics=Statistics(version="1", started_at=SettableClock().now()),
        descriptions=descriptions,
    )  # fmt: skip


def queue(name: str, **metrics: float) -> TargetSnapshot:
    """A target with a queue."""
    check = CheckSnapshot(name="q", probe="queue", status=Status.UP, metrics=metrics)
    return TargetSnapshot(target=Target(name=name), status=Status.UP, checks=(check,))


def test_a_metric_may_have_a_family_of_its_own() -> None:
    """With the help and the kind that the probe declares, after tocsin's own families; a family
    without samples is absent."""
    shown = reading(queue("a", length=3.0, age_seconds=7.0), queue("b", length=4.0), queue=QUEUE)
    text = "".join(render(families(shown)))
    assert text.endswith(
        '# HELP queue_length Jobs that "wait".\n'
        "# TYPE queue_length gauge\n"
        'queue_length{target="a",check="q"} 3.0\n'
        'queue_length{target="b",check="q"} 4.0\n'
    )
    assert 'tocsin_check_metric{target="a",check="q",metric="length"} 3.0\n' in text
    assert "queue_jobs_total" not in text
    counted = reading(queue("a", jobs=9.0), queue=QUEUE)
    text = "".join(render(families(counted)))
    assert "# TYPE queue_jobs_total counter\nqueue_jobs_total{" in text


def test_two_probes_may_measure_the_same_family() -> None:
    """It is one family, with the first help; no sample is there twice."""
    other = {"size": Metric(help="Another.", family="queue_length")}
    check = CheckSnapshot(name="o", probe="other", metrics={"size": 1.0})
    target = TargetSnapshot(target=Target(name="c"), checks=(check,))
    shown = reading(queue("a", length=3.0), target, queue=QUEUE, other=other)
    text = "".join(render(families(shown)))
    assert text.count("# HELP queue_length") == 1
    assert text.count("\nqueue_length{") == 2


async def test_the_route_keeps_to_the_contract() -> None:
    """It passes the suite of all routes, with an empty system and with a target."""
    (route,) = routes.routes
    chunks = await check_route_conformance(route)
    assert isinstance(chunks, list)
    view = FixedSystem(targets=[queue("a", length=3.0)], descriptions={"queue": QUEUE})
    chunks = await check_route_conformance(route, view=view)
    assert isinstance(chunks, list)
    assert b"queue_length{" in b"".join(chunks)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"family": "tocsin_length"}, "must not begin with tocsin_"),
        ({"family": "a b"}, "must consist of"),
        ({"family": "jobs", "kind": MetricKind.COUNTER}, "names of counters"),
        ({"family": "jobs_total"}, "names of counters"),
    ],
)
def test_a_wrong_family_is_refused(options: dict[str, Any], words: str) -> None:
    """Where it is declared, with a sentence."""
    with pytest.raises(ValueError, match=words):
        Metric(help="x", **options)


@pytest.mark.parametrize(
    "metrics",
    [7, {"a": "b"}, {"": QUEUE["length"]}, {"a": Metric(help="two\nlines")}, {"a": Metric}],
)
def test_what_is_no_description_is_a_fault(
    metrics: Any, tocsin_manager: Callable[..., PluginManager]
) -> None:
    """The plugin is refused."""
    cls = type("Odd", (QueueProbe,), {"metrics": metrics})
    (record,) = tocsin_manager(odd=plugin(frozen(kw_only=True)(cls))).records
    assert "has a class whose metrics is" in str(record.reason)


@pytest.mark.parametrize("kind", ["probes", "sources"])
def test_ours_describe_what_they_measure(kind: str, plugins: PluginManager) -> None:
    """Every probe and source has descriptions, and names end in the unit where it is a usual
    one."""
    for name, entry in getattr(plugins, kind).items():
        assert entry.cls.metrics, name
        for metric, about in entry.cls.metrics.items():
            assert about.help.endswith("."), metric
            if about.unit:
                assert metric.endswith(f"_{about.unit}"), metric


@pytest.fixture(scope="module")
def plugins() -> PluginManager:
    """Our own plugins."""
    from tocsin.core.config.core_settings import PluginSettings

    made = PluginManager(PluginSettings(external=False))
    made.load()
    return made


async def test_nothing_is_measured_without_a_description(tocsin_context: Any) -> None:
    """For a disk, a heartbeat and a container."""
    disk = await (await DiskProbe(paths=("/",)).open(tocsin_context)).check(Target(name="host"))
    assert set(disk.metrics) <= set(DiskProbe.metrics)
    beat = Heartbeat(at=SettableClock().now())
    judged = HeartbeatProbe().judge(Target(name="job"), beat, 1.0)
    assert set(judged.metrics) == set(HeartbeatProbe.metrics)
    assert set(CONTAINER_METRICS) <= set(DockerSource.metrics)
    assert "restart_count" in {field.name for field in fields(Container)}
