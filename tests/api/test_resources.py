"""What the resources answer."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import asyncpg
import msgspec
import pytest
from aiohttp.test_utils import TestClient

from tests.api.conftest import Asker, Stack, facts
from tests.kept import flush, store_of
from tocsin.core.contracts.container import Reason
from tocsin.core.contracts.model import ComponentHealth, Health, Result, Status

pytestmark = pytest.mark.usefixtures("stack")


async def test_health_tells_the_truth_per_component(
    stack: Stack, client: TestClient[Any, Any]
) -> None:
    """200 and ok; 200 and degraded while a part is in trouble; 503 when no check is run."""
    answer = await client.get("/health")
    assert (answer.status, (await answer.json())["status"]) == (200, "ok")
    stack.parts["database"] = ComponentHealth(status=Health.DEGRADED, message="away")
    answer = await client.get("/health")
    body = await answer.json()
    assert (answer.status, body["status"]) == (200, "degraded")
    assert body["components"]["database"] == {"status": "degraded", "message": "away"}
    stack.parts["scheduler"] = ComponentHealth(status=Health.FAILED)
    answer = await client.get("/health")
    assert (answer.status, (await answer.json())["status"]) == (503, "failed")


async def test_status_sums_up(ask: Asker) -> None:
    """Counts, critical targets that are down, container counts and a score that weighs them."""
    body = await ask.get("/api/v1/status")
    assert body["status"] == "down"
    assert body["targets"] == {"up": 2, "degraded": 0, "down": 1, "unknown": 2}
    assert body["critical_down"] == ["db"]
    assert body["containers"] | {} == {
        "total": 3, "running": 1, "stopped": 1, "unhealthy": 0, "paused": 0, "restarting": 0,
        "completed": 0, "missing": 0, "unknown": 1,
    }  # fmt: skip
    assert body["health_score"] == 40.0  # up, up, and a critical one down that counts thrice
    assert body["active_alerts"] == 1


async def test_a_container_that_was_removed_counts_no_more(ask: Asker, stack: Stack) -> None:
    """It is shown for a while, since it may be made anew, and is none of those that should run."""
    gone = facts(Reason.REMOVED, "removed")
    stack.see("web", "docker", Result.unknown("removed", container=gone))
    counts = (await ask.get("/api/v1/status"))["containers"]
    assert (counts["total"], counts["running"], counts["unknown"]) == (2, 0, 1)


async def test_containers_are_listed_filtered_and_paged(ask: Asker) -> None:
    """Filters narrow the list, pages join to the whole, each item has the plan's facts."""
    body = await ask.get("/api/v1/containers")
    assert [item["name"] for item in body["items"]] == ["db", "dead", "web"]
    assert body["total"] == 3
    db = body["items"][0]
    assert (db["status"], db["state"], db["reason"], db["exit_code"]) == (
        "down", "exited", "crashed", 1,
    )  # fmt: skip
    assert db["since"].endswith("Z")
    assert [i["name"] for i in (await ask.get("/api/v1/containers?status=up"))["items"]] == ["web"]
    assert [i["name"] for i in (await ask.get("/api/v1/containers?q=DEA"))["items"]] == ["dead"]
    assert (await ask.get("/api/v1/containers?project=none"))["items"] == []
    names, cursor = [], ""
    while True:
        page = await ask.get(f"/api/v1/containers?limit=1{cursor}")
        names += [item["name"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert names == ["db", "dead", "web"]


async def test_one_container_and_what_surrounds_it(ask: Asker) -> None:
    """Detail, dependents, logs, events; names of strangers are found by their encoded path."""
    body = await ask.get("/api/v1/containers/db")
    assert body["dependents"] == ["web"]
    assert not body["restart_allowed"]
    lines = (await ask.get("/api/v1/containers/web/logs?lines=5"))["items"]
    assert [line["text"] for line in lines[:4]] == [f"line {n}" for n in range(196, 200)]
    assert len((await ask.get("/api/v1/containers/web/logs"))["items"]) == 100
    assert (await ask.get("/api/v1/containers/web/events"))["items"][0]["action"] == "start"
    assert "gone" in (await ask.get("/api/v1/containers/dead/logs", 404))["detail"]
    assert "'nope'" in (await ask.get("/api/v1/containers/nope", 404))["detail"]
    odd = quote("site / ü", safe="")
    assert (await ask.get(f"/api/v1/targets/{odd}"))["target"]["name"] == "site / ü"
    assert (await ask.get(f"/api/v1/checks/{odd}/http/history"))["uptime"]["available"] == 1.0


async def test_inspect_shows_no_secret(ask: Asker) -> None:
    """Environment values, secret-looking labels and passwords in URLs are hidden."""
    text = json.dumps(await ask.get("/api/v1/containers/web/inspect"))
    assert "hunter2" not in text
    assert '"abc"' not in text
    assert "PASSWORD=***" in text
    assert "A=***" in text


async def test_what_its_source_can_do_is_possible_for_any_target(ask: Asker, stack: Stack) -> None:
    """Its actions are in its document, and its log is read by its own path; one whose kind is no
    container is none of the containers."""
    stack.add("web-ship", "ship", "fleet", "fleet")
    detail = await ask.get("/api/v1/targets/web-ship")
    assert detail["actions"] == ["logs"]
    assert detail["restart_allowed"]  # by the configuration, in this stand-in
    lines = (await ask.get("/api/v1/targets/web-ship/logs?lines=5"))["items"]
    assert len(lines) == 5
    assert "hunter2" not in json.dumps(lines)
    assert "hunter2" not in json.dumps(await ask.get("/api/v1/targets/web-ship/inspect"))
    assert (await ask.post("/api/v1/targets/web-ship/restart"))["restarted"]
    assert stack.restarted == ["web-ship"]
    await ask.get("/api/v1/containers/web-ship/logs", 404)
    assert "gone" in (await ask.get("/api/v1/targets/dead/logs", 404))["detail"]
    assert "'nope'" in (await ask.get("/api/v1/targets/nope/logs", 404))["detail"]
    for path in ("containers", "targets"):
        web = await ask.get(f"/api/v1/{path}/web")
        assert (web["actions"], web["restart_allowed"]) == (["inspect", "logs", "restart"], True)


async def test_restart_is_guarded_and_audited(ask: Asker, stack: Stack) -> None:
    """Only allow-listed containers restart, not twice in a moment; every try leaves a row."""
    body = await ask.post("/api/v1/containers/db/restart", 403)
    assert "[actions] restart" in body["detail"]
    assert (await ask.post("/api/v1/containers/web/restart"))["restarted"]
    await ask.post("/api/v1/containers/web/restart", 409)
    assert stack.restarted == ["web"]
    await flush(stack.history)
    rows = (await ask.get("/api/v1/audit"))["items"]
    assert [(row["subject"], row["outcome"]) for row in rows] == [
        ("web", "refused: restarted a moment ago"), ("web", "ok"), ("db", "refused: not allowed"),
    ]  # fmt: skip
    assert {row["actor"] for row in rows} == {"admin"}


async def test_the_history_of_all_containers_is_coarse_and_paged(ask: Asker) -> None:
    """Without a target the last 24 hours of every container come, those without samples empty."""
    body = await ask.get("/api/v1/metrics/history")
    since, until = (datetime.fromisoformat(body[name]) for name in ("since", "until"))
    assert until - since == timedelta(hours=24)
    assert [item["target"] for item in body["items"]] == ["db", "dead", "web"]
    assert [len(item["points"]) for item in body["items"]] == [1, 0, 1]
    assert body["items"][2]["points"][0]["metrics"]["memory_bytes"]["max"] == 1000
    assert (body["target"], body["points"], body["next"]) == (None, [], None)
    first = await ask.get("/api/v1/metrics/history?limit=1")
    assert first["next"] == "db"
    rest = await ask.get("/api/v1/metrics/history?limit=100&points=2000&cursor=db")
    assert [item["target"] for item in rest["items"]] == ["dead", "web"]
    assert rest["items"][1]["step"] >= 1800
    await ask.get("/api/v1/metrics/history?limit=101", 422)


async def test_history_is_charted(ask: Asker) -> None:
    """A container's metrics come back as points; an unknown target or check is a 404."""
    body = await ask.get("/api/v1/metrics/history?target=web&hours=1")
    assert body["points"][0]["metrics"]["cpu_percent"] == {"min": 5.0, "avg": 5.0, "max": 5.0}
    await ask.get("/api/v1/metrics/history?target=nope", 404)
    await ask.get("/api/v1/metrics/history?target=web&check=nope", 404)
    assert (await ask.get("/api/v1/metrics/history?check=docker"))["check"] == "docker"
    assert (await ask.get("/api/v1/metrics/history?check=none"))["items"] == []
    for backwards in ("until=1000-01-01T00:00:00Z", "since=2030-01-01T00:00:00Z"):
        assert (await ask.get(f"/api/v1/metrics/history?target=web&{backwards}"))["points"] == []
    snapshot = await ask.get("/api/v1/metrics?target=web")
    assert snapshot["items"][0]["checks"][0]["metrics"]["memory_percent"] == 10.0


BAD_REQUESTS = (
    ("/api/v1/containers?limit=0", 422, "limit"),
    ("/api/v1/containers?limit=abc", 422, "limit"),
    ("/api/v1/containers?limt=1", 400, "limt"),
    ("/api/v1/containers?status=sick", 422, "status"),
    ("/api/v1/containers?limit=1&limit=2", 400, "more than once"),
    ("/api/v1/alerts?cursor=%C3%A4", 422, "cursor"),
    ("/api/v1/alerts?state=firing,loud", 422, "state"),
    ("/api/v1/alerts?state=pending", 422, "state"),
    ("/api/v1/metrics/history?target=web&since=yesterday", 422, "since"),
    ("/api/v1/metrics/history?target=web&since=2026-01-01T00:00:00", 422, "since"),
    ("/api/v1/metrics/history?target=web&hours=nan", 422, "hours"),
    ("/api/v1/containers?status=null", 422, "status"),
    ("/api/v1/containers/web%00", 400, "NUL"),
    ("/api/v1/nothing", 404, "openapi.json"),
    ("/api/v1/stream?kinds=gossip", 400, "gossip"),
    ("/health?x=1", 400, "x"),
)


async def test_bad_requests_get_one_clear_sentence(ask: Asker, subtests: pytest.Subtests) -> None:
    """Each wrong request is a problem document that names what is wrong."""
    for path, status, words in BAD_REQUESTS:
        with subtests.test(path=path):
            answer = await ask.client.get(path, headers=ask.headers)
            assert answer.status == status
            assert answer.content_type == "application/problem+json"
            problem = await answer.json()
            assert words in problem["detail"]
            assert "\n" not in problem["detail"]


async def test_a_method_that_is_not_there_names_those_that_are(ask: Asker) -> None:
    """405 with Allow, as a problem document; HEAD works where GET does."""
    answer = await ask.client.delete("/api/v1/status", headers=ask.headers)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"
    assert answer.content_type == "application/problem+json"
    assert (await ask.client.head("/api/v1/status", headers=ask.headers)).status == 200


async def test_bodies_are_checked(ask: Asker, stack: Stack) -> None:
    """An empty heartbeat is a good one; wrong types, broken JSON and huge bodies are refused."""
    path = "/api/v1/heartbeats/job"
    assert (await ask.post(path))["check"] == "job/beat"
    assert stack.beats["job"].status is Status.UP
    await ask.post(path, json={"status": "down", "message": "disk full", "metrics": {"rows": 1}})
    assert stack.beats["job"].message == "disk full"
    assert "status" in (await ask.post(path, 422, json={"status": "sick"}))["detail"]
    await ask.post(path, 400, data=b"{not json")
    await ask.post(path, 413, data=b" " * 300_000)


async def test_a_heartbeat_that_no_check_expects_is_refused(ask: Asker) -> None:
    """The sentence says what the name has to be, for a check of any push probe."""
    problem = await ask.post("/api/v1/heartbeats/shop", 404, json={})
    assert problem["detail"] == (
        "no check expects heartbeats under the name 'shop': use the 'key' of the check or, without "
        'one, the name of its target; such a check is declared with probe = "heartbeat" or another '
        "push probe"
    )


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("status=DOWN&message=full", {}), ("status=Failed&message=full", {}),
        ("status=error&message=full", {}), ("status=down&exit=3&message=full", {}),
        ("status=down&message=full", {"Content-Encoding": "gzip"}),
    ],
)  # fmt: skip
async def test_a_report_of_failure_by_query_is_kept(
    ask: Asker, stack: Stack, query: str, headers: dict[str, str]
) -> None:
    """However its status is written, and whatever is wrong with the rest of it."""
    body = b"no gzip" if headers else b""
    await ask.post(f"/api/v1/heartbeats/job?{query}", data=body, headers=headers)
    assert (stack.beats["job"].status, stack.beats["job"].message) == (Status.DOWN, "full")


async def test_a_fault_inside_is_a_reference_and_no_traceback(
    ask: Asker, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected error is a 500 problem with a reference; its text stays inside."""

    def boom(target: str) -> list[str]:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(stack, "dependents", boom)
    problem = await ask.get("/api/v1/targets/web", 500)
    assert "secret detail" not in json.dumps(problem)
    assert "tocsin's log has the details under" in problem["detail"]


async def test_a_database_that_is_away_is_a_503(ask: Asker, stack: Stack) -> None:
    """History answers 503 with Retry-After, everything else goes on."""
    from datetime import UTC, datetime

    store_of(stack.history)._writer.away = (datetime.now(UTC), "the connection is refused")
    problem = await ask.get("/api/v1/metrics/history?target=web", 503)
    assert "the connection is refused" in problem["detail"]
    assert (await ask.get("/api/v1/status"))["active_alerts"] == 1
    assert (await ask.get("/api/v1/containers"))["total"] == 3
    store_of(stack.history)._writer.away = None


async def test_a_database_that_hangs_does_not_hold_up_the_status(ask: Asker, database: str) -> None:
    """With the table of alerts locked by somebody, status and active alerts answer as ever."""
    other = await asyncpg.connect(database)
    async with other.transaction():
        await other.execute("LOCK TABLE tocsin.system_alerts IN ACCESS EXCLUSIVE MODE")
        body = await ask.get("/api/v1/status")
        assert (body["active_alerts"], body["containers"]["total"]) == (1, 3)
        (alert,) = (await ask.get("/api/v1/alerts/active"))["items"]
        assert (alert["alert_type"], alert["container_name"]) == ("container_down", "db")
    await other.close()


async def test_config_and_plugins_are_shown_without_secrets(ask: Asker) -> None:
    """The configuration in force is shown with secrets hidden; plugins with their options."""
    config = await ask.get("/api/v1/config")
    assert config["config"]["actions"]["restart"] == ["web*"]
    assert "hunter2" not in json.dumps(config)
    plugins = (await ask.get("/api/v1/plugins"))["items"]
    tcp = next(plugin for plugin in plugins if plugin["name"] == "tcp")
    options = {option["name"]: option for option in tcp["provides"][0]["options"]}
    assert options["host"]["required"]
    assert options["timeout"]["default"] == 10


async def test_a_broken_reload_lists_every_problem(ask: Asker, stack: Stack) -> None:
    """422 with each problem's file, line and path."""
    stack.broken = True
    problem = await ask.post("/api/v1/reload", 422)
    assert problem["errors"] == ["tocsin.toml:3: a.b: it is wrong"]


async def test_the_openapi_document_is_valid(ask: Asker, stack: Stack) -> None:
    """An OpenAPI validator accepts the document, and every route is in it."""
    from openapi_spec_validator import validate

    from tocsin.core.http import ROUTES

    document = await ask.get("/api/v1/openapi.json")
    validate(document)
    listed = {(m.upper(), path) for path, item in document["paths"].items() for m in item}
    every = [*ROUTES, *(route for _, route in stack.plugins.routes)]
    assert listed == {(route.method, route.path) for route in every}
    assert all(route.summary for route in every)
    schemas = document["components"]["schemas"]
    bodies = [schemas[route.body.__name__] for route in ROUTES if route.body is not None]
    assert bodies
    assert [body["title"] for body in bodies if body["additionalProperties"] is not False] == []
    assert [s for s in schemas.values() if "\n    " in s.get("description", "")] == []


async def test_answers_of_a_thousand_targets_are_small_work(ask: Asker, stack: Stack) -> None:
    """A thousand targets are listed in one page, each once."""
    for n in range(1000):
        stack.add(f"t{n:04}", "container", "docker", "docker-health")
        stack.see(f"t{n:04}", "docker", Result.up("running", container=facts()))
    body = msgspec.json.encode(await ask.get("/api/v1/containers?limit=1000"))
    items = json.loads(body)["items"]
    assert len({item["name"] for item in items}) == 1000
