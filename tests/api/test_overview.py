"""What the dashboard reads: who asks, what has changed, uptime, trends, how often alerts fired."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiohttp.test_utils import TestClient
from attrs import evolve

from tests.api.conftest import Asker, Stack, facts
from tests.kept import flush, store_of
from tocsin.core.contracts.container import Reason
from tocsin.core.contracts.model import Observation, Result, Status, Target
from tocsin.core.contracts.route import Role
from tocsin.core.ids import new_id

pytestmark = pytest.mark.usefixtures("stack")


async def test_a_token_learns_what_it_may_do(
    stack: Stack, client: TestClient[Any, Any], tokens: dict[str, str]
) -> None:
    """Name, role and expiry of the very token that asks, and nothing of its secret."""
    for plain, role in [(tokens["viewer"], "viewer"), (tokens["admin"], "admin")]:
        answer = await client.get("/api/v1/me", headers={"Authorization": f"Bearer {plain}"})
        assert await answer.json() == {"name": role, "role": role, "expires_at": None}
    brief = stack.tokens.create("brief", Role.VIEWER, ttl=3600)
    answer = await client.get("/api/v1/me", headers={"Authorization": f"Bearer {brief}"})
    expires = datetime.fromisoformat((await answer.json())["expires_at"])
    assert timedelta(minutes=59) < expires - datetime.now(UTC) <= timedelta(hours=1)


@pytest.mark.parametrize("path", ["/api/v1/targets", "/api/v1/containers"])
async def test_only_what_changed_is_given(ask: Asker, stack: Stack, path: str) -> None:
    """With the last revision nothing comes; after a result only its target; gone ones are named."""
    whole = await ask.get(path)
    assert (whole["whole"], whole["removed"]) == (True, [])
    since = whole["revision"]
    same = await ask.get(f"{path}?since={since}")
    assert (same["whole"], same["items"], same["removed"]) == (False, [], [])
    assert (same["revision"], same["total"]) == (since, whole["total"])
    stack.see("web", "docker", Result.degraded("slow", container=facts()))
    stack.drop("dead")
    stack.add("new", "container", "docker", "docker-health")
    news = await ask.get(f"{path}?since={since}")
    assert [item["name"] for item in news["items"]] == ["new", "web"]
    assert (news["whole"], news["removed"]) == (False, ["dead"])
    assert news["items"][1]["status"] == "degraded"
    assert (await ask.get(f"{path}?since={news['revision']}"))["items"] == []


async def test_a_reader_of_changes_has_what_a_reader_of_everything_has(
    ask: Asker, stack: Stack
) -> None:
    """Whatever happens, removing what is named and putting in what comes gives the filtered list,
    over pages, too."""
    path = "/api/v1/containers?status=up&limit=2"

    async def read(since: str) -> tuple[dict[str, Any], str]:
        items: dict[str, Any] = {}
        cursor, revision = "", ""
        while True:
            page = await ask.get(f"{path}{since}{cursor}")
            revision = revision or page["revision"]
            if since and not cursor:
                for name in page["removed"]:
                    known.pop(name, None)
            items |= {item["name"]: item for item in page["items"]}
            if page["next"] is None:
                return items, revision
            cursor = f"&cursor={page['next']}"

    known: dict[str, Any] = {}
    known, revision = await read("")
    down = Result.down("crashed", container=facts(Reason.CRASHED, "exited"))

    def add_some() -> None:
        for n in range(5):
            stack.add(f"t{n}", "container", "docker", "docker-health")

    def see_some() -> None:
        for n in range(5):
            stack.see(f"t{n}", "docker", Result.up("running", container=facts()))

    steps: list[Callable[[], object]] = [
        add_some,
        see_some,
        lambda: stack.see("t1", "docker", down),
        lambda: stack.drop("t2"),
        lambda: stack.add("t3", "service", "docker", "docker-health"),
        lambda: stack.see("t1", "docker", Result.up("running", container=facts())),
    ]
    for step in steps:
        step()
        changed, revision = await read(f"&since={revision}")
        known |= changed
        everything, _ = await read("")
        assert known == everything
    assert sorted(known) == ["t0", "t1", "t4", "web"]


@pytest.mark.parametrize(
    "since", ["", "nonsense", "0-0", "{epoch}-", "{epoch}-99999999", "{epoch}--1", "{epoch}-²"]
)
async def test_an_unknown_revision_gets_everything(ask: Asker, stack: Stack, since: str) -> None:
    """A revision of another run, from the future or of somebody's making is no error."""
    text = since.format(epoch=stack.state.epoch)
    body = await ask.get(f"/api/v1/targets?since={text}")
    assert (body["whole"], len(body["items"]), body["removed"]) == (True, 5, [])
    await ask.get(f"/api/v1/targets?since={'x' * 101}", 422)


async def test_uptime_of_all_targets(ask: Asker, stack: Stack) -> None:
    """Each target has its share and its stretches of time; one without results has none; filters
    and pages work as in the other lists."""
    for _ in range(3):
        stack.see("web", "docker", Result.unknown("the engine is away"))
    stack.see("web", "docker", Result.down("crashed", container=facts(Reason.CRASHED, "exited")))
    await flush(stack.history)
    body = await ask.get("/api/v1/uptime?hours=1&points=6")
    by_name = {item["target"]: item for item in body["items"]}
    assert len(by_name) == body["total"] == 5
    assert by_name["web"]["available"] == 0.5
    assert [sum(row) for row in zip(*by_name["web"]["counts"], strict=True)] == [1, 0, 1, 3]
    assert by_name["site / ü"]["available"] == 1.0
    assert (by_name["dead"]["available"], by_name["dead"]["counts"]) == (None, [])
    since, until = (datetime.fromisoformat(body[name]) for name in ("since", "until"))
    length = len(by_name["web"]["counts"])
    assert (length - 1) * body["step"] < (until - since).total_seconds() <= length * body["step"]
    page = await ask.get("/api/v1/uptime?kind=container&q=D&limit=1")
    assert ([item["target"] for item in page["items"]], page["total"]) == (["db"], 2)
    page = await ask.get(f"/api/v1/uptime?kind=container&q=D&limit=1&cursor={page['next']}")
    assert ([item["target"] for item in page["items"]], page["next"]) == (["dead"], None)
    await ask.get("/api/v1/uptime?points=201", 422)


async def test_uptime_is_the_same_at_every_resolution(ask: Asker, stack: Stack) -> None:
    """However many stretches of time are asked for, an hour of two checks, one of which was down
    for a while and the other one came at the end, was available for the same share."""
    stack.put_check("web", "http")
    now = stack.clock.now()
    for n in range(110):
        status = Status.DOWN if 20 <= n < 30 else Status.UP
        for check, seen in (("docker", status), ("http", Status.DOWN if n >= 100 else None)):
            if seen is not None:
                result = Result(status=seen)
                at = now - timedelta(seconds=30 * (111 - n))
                stack.history.write(Observation(target="web", check=check, at=at, result=result))
    await flush(stack.history)
    shares = []
    for points in (1, 2, 7, 60, 200):
        body = await ask.get(f"/api/v1/uptime?hours=1&points={points}&q=web")
        (item,) = body["items"]
        shares.append(item["available"])
    assert shares == [pytest.approx(90 / 110, abs=0.02)] * 5
    assert max(shares) - min(shares) < 0.001


async def test_trends_of_the_leaders(ask: Asker, stack: Stack) -> None:
    """The highest average first; ``top`` cuts; a metric nobody has is an empty list."""
    stack.see("db", "docker", Result.up("running", container=evolve(facts(), cpu_percent=50.0)))
    await flush(stack.history)
    body = await ask.get("/api/v1/trends?hours=1")
    assert body["metric"] == "cpu_percent"
    found = [(item["target"], item["avg"], item["max"]) for item in body["items"]]
    assert found == [("db", 27.5, 50.0), ("web", 5.0, 5.0)]
    point = body["items"][1]["points"][-1]
    assert (point["avg"], point["max"]) == (5.0, 5.0)
    assert len((await ask.get("/api/v1/trends?top=1"))["items"]) == 1
    assert [
        item["target"] for item in (await ask.get("/api/v1/trends?metric=body_bytes"))["items"]
    ] == ["site / ü"]
    assert (await ask.get("/api/v1/trends?metric=%27%3B--"))["items"] == []
    await ask.get("/api/v1/trends?metric=", 422)


async def _alert(database: str, at: datetime, kind: str, severity: str) -> UUID:
    identity = new_id()
    connection = await asyncpg.connect(database)
    await connection.execute(
        "INSERT INTO tocsin.system_alerts (id, alert_type, severity, container_name, message, "
        "created_at) VALUES ($1, $2, $3, 'web', '', $4)",
        identity, kind, severity, at,
    )  # fmt: skip
    await connection.close()
    return identity


async def test_how_often_alerts_fired(ask: Asker, stack: Stack, database: str) -> None:
    """Counts by type and severity, and by hour and day of the configured time zone, whose hours
    begin at half past; alerts before and after are left out."""
    stack.settings = evolve(stack.settings, timezone="Asia/Kolkata")  # five hours and a half ahead
    for at, kind, severity in (
        (datetime(2026, 3, 1, 18, 29, tzinfo=UTC), "high_cpu", "warning"),  # 23:59 there
        (datetime(2026, 3, 1, 18, 30, tzinfo=UTC), "high_cpu", "warning"),  # midnight
        (datetime(2026, 3, 2, 18, 15, tzinfo=UTC), "high_cpu", "critical"),
        (datetime(2026, 3, 2, 18, 20, tzinfo=UTC), "container_down", "critical"),
        (datetime(2026, 2, 1, tzinfo=UTC), "container_down", "critical"),
        (datetime(2026, 3, 3, tzinfo=UTC), "container_down", "critical"),
    ):
        await _alert(database, at, kind, severity)
    body = await ask.get("/api/v1/alerts/frequency?hours=48&until=2026-03-03T00:00:00Z")
    assert body["by_type"] == [
        {"alert_type": "high_cpu", "severity": "warning", "count": 2},
        {"alert_type": "container_down", "severity": "critical", "count": 1},
        {"alert_type": "high_cpu", "severity": "critical", "count": 1},
    ]
    assert body["by_hour"] == [1, *[0] * 22, 3]
    assert body["by_day"] == [
        {"day": "2026-03-01", "count": 1}, {"day": "2026-03-02", "count": 3},
    ]  # fmt: skip
    assert body["timezone"] == "Asia/Kolkata"


async def test_how_often_alerts_fired_in_the_asker_s_own_hours(
    ask: Asker, stack: Stack, database: str
) -> None:
    """The asker's time zone goes before the configured one, on both sides of a change to summer
    time; one that does not exist, or is a path, is refused with a sentence."""
    stack.settings = evolve(stack.settings, timezone="Asia/Kolkata")
    await _alert(database, datetime(2026, 3, 29, 0, 30, tzinfo=UTC), "high_cpu", "warning")
    await _alert(database, datetime(2026, 3, 29, 1, 30, tzinfo=UTC), "high_cpu", "warning")
    path = "/api/v1/alerts/frequency?until=2026-03-30T00:00:00Z&hours=48&timezone="
    body = await ask.get(path + "Europe/Berlin")
    assert [hour for hour, count in enumerate(body["by_hour"]) if count] == [1, 3]
    assert body["timezone"] == "Europe/Berlin"
    assert "no time zone 'Mars/Olympus'" in (await ask.get(path + "Mars/Olympus", 404))["detail"]
    for wrong in ("../../etc/passwd", "/etc/passwd", "", "%00"):
        assert "timezone" in (await ask.get(path + wrong, 422))["detail"]


@pytest.mark.parametrize("path", ["uptime", "trends", "alerts/frequency"])
async def test_without_the_database_there_is_no_history(
    ask: Asker, stack: Stack, path: str
) -> None:
    """503 with Retry-After and the reason."""
    await store_of(stack.history).close()  # it would find the database back
    store_of(stack.history)._writer.away = (datetime.now(UTC), "the connection is refused")
    problem = await ask.get(f"/api/v1/{path}", 503)
    assert "the connection is refused" in problem["detail"]
    store_of(stack.history)._writer.away = None


async def test_a_hostile_name_is_only_a_name(ask: Asker, stack: Stack) -> None:
    """Targets with quotes, backslashes and line ends in their names have their history, too."""
    name = 'od"d\\\n'
    stack.see(name, "http", Result.up("200", latency=0.5))
    await flush(stack.history)
    body = await ask.get("/api/v1/uptime?q=od%22")
    assert [(i["target"], i["available"]) for i in body["items"]] == [(name, 1.0)]
    body = await ask.get("/api/v1/trends?metric=latency_seconds")
    assert [item["target"] for item in body["items"]] == [name, "site / ü"]


def test_views_need_no_clock(stack: Stack) -> None:
    """What is shown of a container depends on what was seen alone: its uptime is that of the moment
    it was seen."""
    from tocsin.core.http.views import container_view

    began = stack.clock.now() - timedelta(hours=1)
    stack.state.put(Target(name="web", kind="container"), declared=True, source="docker", at=began)
    stack.see("web", "docker", Result.up("running", container=evolve(facts(), started_at=began)))
    view = container_view(stack.state.targets["web"])
    assert view.last_seen is not None
    assert view.uptime_seconds == (view.last_seen - began).total_seconds()
