"""The panels of a target's page: what plugins declare, with the present values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient
from attrs import evolve

from tests.api.conftest import Asker, Stack, facts
from tocsin import Panel, PanelChart, PanelCurve, PanelFact, Result, hookimpl

pytestmark = pytest.mark.usefixtures("stack")

SITE = f"/api/v1/targets/{quote('site / ü', safe='')}/panels"


class Queues:
    """A plugin that adds a panel for HTTP checks."""

    @hookimpl
    def tocsin_panels(self) -> list[Panel]:
        return [
            Panel(
                name="queue", title="Queue", probes=("http",), text="See the *runbook*.",
                facts=(
                    PanelFact(label="Server", value="server"),
                    PanelFact(label="Body", value="body_bytes"),
                    PanelFact(label="Waiting", value="waiting", unit="jobs"),
                    PanelFact(label="Peers", value="peers"),
                    PanelFact(label="Open", value="is_open"),
                    PanelFact(label="Structure", value="tree"),
                    PanelFact(label="Missing", value="missing"),
                ),
                charts=(
                    PanelChart(
                        title="Length",
                        curves=(PanelCurve(metric="waiting"), PanelCurve(metric="done_seconds")),
                        unit="jobs",
                    ),
                ),
            ),
            Panel(name="hosts", title="Hosts", probes=("http",), kinds=("host",), text="x"),
        ]  # fmt: skip


async def test_a_container_has_its_usage(ask: Asker, stack: Stack) -> None:
    """What the source's plugin declares: units follow from the metrics' names; present values,
    what the target expects and its limit are there, as far as they are known."""
    (panel,) = (await ask.get("/api/v1/targets/web/panels"))["items"]
    assert {k: panel[k] for k in ("plugin", "name", "title", "check", "text", "facts")} == {
        "plugin": "docker-health", "name": "usage", "title": "Resource usage", "check": "docker",
        "text": "", "facts": [],
    }  # fmt: skip
    cpu, memory, network = panel["charts"]
    assert cpu == {
        "title": "CPU", "unit": "%", "per_second": False, "expected": None, "limit": None,
        "curves": [
            {"metric": "cpu_percent", "label": "cpu_percent", "below": False, "now": 5.0}
        ],
    }  # fmt: skip
    assert (memory["unit"], memory["limit"], memory["curves"][0]["now"]) == ("B", 10_000, 1000)
    assert network["per_second"] is True
    assert [(c["label"], c["below"], c["now"]) for c in network["curves"]] == [
        ("Received", False, None), ("Sent", True, None),
    ]  # fmt: skip
    stack.add("api", "container", "docker", "docker-health", expected={"memory_bytes": 700.0})
    (panel,) = (await ask.get("/api/v1/targets/api/panels"))["items"]
    assert [chart["expected"] for chart in panel["charts"]] == [None, 700.0, None]
    assert panel["charts"][1]["limit"] is None


async def test_facts_are_metrics_attributes_and_fields(ask: Asker, stack: Stack) -> None:
    """Of the newest result; lists become text, and what is unknown or has a structure is null."""
    stack.plugins.add("queues", Queues, "tests", "0")
    stack.see(
        "site / ü", "http",
        Result.up(
            metrics={"body_bytes": 3.0, "waiting": 7.0},
            attributes={"server": "s" * 400, "peers": ["a", 2], "is_open": True, "tree": {"a": 1}},
        ),
    )  # fmt: skip
    panels = {p["name"]: p for p in (await ask.get(SITE))["items"]}
    assert set(panels) == {"answer", "queue"}
    queue = panels["queue"]
    assert queue["text"] == "See the *runbook*."
    assert [(f["label"], f["value"], f["unit"]) for f in queue["facts"]] == [
        ("Server", "s" * 300, ""), ("Body", 3.0, "B"), ("Waiting", 7.0, "jobs"),
        ("Peers", "a, 2", ""), ("Open", True, ""), ("Structure", None, ""), ("Missing", None, ""),
    ]  # fmt: skip
    (chart,) = queue["charts"]
    assert (chart["unit"], [c["now"] for c in chart["curves"]]) == ("jobs", [7.0, None])


async def test_a_fact_of_a_container(ask: Asker, stack: Stack) -> None:
    """Its fields are there by their names, times as text."""

    class Started:
        @hookimpl
        def tocsin_panels(self) -> list[Panel]:
            names = ("image", "started_at", "reason", "restart_count")
            found = tuple(PanelFact(label=name, value=name) for name in names)
            return [Panel(name="since", title="x", probes=("docker-health",), facts=found)]

    stack.plugins.add("started", Started, "tests", "0")
    at = datetime(2026, 1, 15, 12, tzinfo=UTC)
    stack.see("web", "docker", Result.up("running", container=evolve(facts(), started_at=at)))
    panel = (await ask.get("/api/v1/targets/web/panels"))["items"][1]
    assert [fact["value"] for fact in panel["facts"]] == [
        "busybox", "2026-01-15T12:00:00+00:00", "running", 0,
    ]  # fmt: skip


async def test_a_check_without_a_result_has_its_panels(ask: Asker, stack: Stack) -> None:
    """Values are null; each check that a panel is about has it."""
    stack.put_check("site / ü", "second")
    panels = (await ask.get(SITE))["items"]
    assert [(p["name"], p["check"]) for p in panels] == [("answer", "http"), ("answer", "second")]
    assert {fact["value"] for fact in panels[1]["facts"]} == {None}


async def test_a_target_that_is_not_there(
    client: TestClient[Any, Any], tokens: dict[str, str]
) -> None:
    """404, as for the target itself."""
    bearer = {"Authorization": f"Bearer {tokens['viewer']}"}
    answer = await client.get("/api/v1/targets/none/panels", headers=bearer)
    assert answer.status == 404
    assert "none" in (await answer.json())["detail"]


def test_what_our_panels_chart_is_measured() -> None:
    """A metric of a container's charts is one of the facts of a container."""
    from tocsin.core.contracts.container import CONTAINER_METRICS
    from tocsin.plugins.probes import docker_health

    usage = docker_health.tocsin_panels()[0]
    metrics = {curve.metric for chart in usage.charts for curve in chart.curves}
    limits = {chart.limit for chart in usage.charts} - {""}
    assert metrics | limits <= set(CONTAINER_METRICS)
