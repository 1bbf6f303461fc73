"""``/metrics`` for Prometheus."""

from __future__ import annotations

import asyncio
import subprocess

import pytest

from tests.api.conftest import Asker, Stack
from tests.conftest import need
from tocsin.core.contracts.model import Observation, Result

pytestmark = pytest.mark.usefixtures("stack")


async def expose(ask: Asker) -> str:
    answer = await ask.client.get("/metrics", headers=ask.headers)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return await answer.text()


async def test_promtool_accepts_the_metrics(ask: Asker) -> None:
    """``promtool check metrics`` has nothing to say about /metrics, odd names included."""
    text = await expose(ask)
    assert r'target="od\"d\\\n"' in text
    assert 'tocsin_check_metric{target="web",check="docker",metric="cpu_percent"} 5.0' in text
    done = await asyncio.to_thread(
        subprocess.run,
        [need("promtool"), "check", "metrics"],
        input=text, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_statuses_and_containers_are_exposed_in_base_units(ask: Asker) -> None:
    """A check that is down is 0, an unknown one is absent; containers show cores and bytes."""
    lines = (await expose(ask)).splitlines()
    assert 'tocsin_check_up{target="web",check="docker"} 1.0' in lines
    assert 'tocsin_check_up{target="db",check="docker"} 0.0' in lines
    assert not any(line.startswith('tocsin_check_up{target="dead"') for line in lines)
    assert 'tocsin_check_status{target="dead",check="docker",status="unknown"} 1.0' in lines
    assert 'tocsin_container_cpu_usage_cores{target="web"} 0.05' in lines
    assert 'tocsin_container_memory_usage_bytes{target="web"} 1000.0' in lines
    assert 'tocsin_container_running{target="db",image="busybox"} 0.0' in lines
    assert any(line.startswith("tocsin_build_info{") for line in lines)


async def test_what_a_strange_probe_measures_breaks_nothing(ask: Asker, stack: Stack) -> None:
    """Infinite and missing numbers and a name that is no text are still exposed."""
    values = {"inf_seconds": float("inf"), "nan": float("nan"), "\ud800": 1.0}
    result = Result.up(metrics=values)
    stack.state.record(
        Observation(target="site / ü", check="http", at=stack.clock.now(), result=result)
    )
    text = await expose(ask)
    assert 'metric="inf_seconds"} +Inf' in text
    assert 'metric="nan"} NaN' in text
    assert 'metric="?"} 1.0' in text


async def test_targets_may_come_and_go_while_it_is_written(ask: Asker, stack: Stack) -> None:
    """A large exposition lets others work meanwhile, and what they change does not break it."""
    for n in range(1500):
        stack.add(f"t{n}", "service", "http", "http")

    async def churn() -> None:
        for n in range(1500):
            stack.drop(f"t{n}")
            await asyncio.sleep(0)

    text, _ = await asyncio.gather(expose(ask), churn())
    assert 'target="web"' in text
