"""Alerts, silences, the ledger and channels through the API."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestClient
from attrs import evolve

from tests.api.conftest import Asker, Stack
from tests.conftest import eventually
from tests.hidden import hide_only
from tests.kept import flush, store_of
from tocsin import NotifyError, Result


async def settled(stack: Stack) -> None:
    """Wait until what is down was told."""
    await eventually(lambda: stack.notifier.notified("fired"))


def alert_of(stack: Stack, target: str = "db") -> str:
    return next(str(a.id) for a in stack.alerting.active() if a.target == target)


async def audited(ask: Asker, stack: Stack, action: str) -> dict[str, Any]:
    await flush(stack.history)
    rows = (await ask.get("/api/v1/audit"))["items"]
    found: dict[str, Any] = next(row for row in rows if row["action"] == action)
    return found


async def ledger(ask: Asker, alert: str) -> list[tuple[str, str, str]]:
    rows = (await ask.get(f"/api/v1/alerts/{alert}"))["ledger"]
    return [(row["transition"], row["decision"], row["reason"]) for row in rows]


async def test_an_alert_is_acknowledged_once_by_name(ask: Asker, stack: Stack) -> None:
    """It is kept who did and what was said, in the alert, the audit and the ledger; a second time
    is refused naming the first; taken back it can be done again."""
    await settled(stack)
    alert = alert_of(stack)
    path = f"/api/v1/alerts/{alert}/acknowledge"
    done = await ask.post(path, json={"comment": "on it"})
    assert (done["state"], done["acknowledged_by"]) == ("acknowledged", "admin")
    row = await audited(ask, stack, "acknowledge")
    assert (row["actor"], row["subject"], row["details"]["comment"]) == ("admin", alert, "on it")
    assert ("acknowledged", "acknowledged", "acknowledged by admin: on it") in await ledger(
        ask, alert
    )
    problem = await ask.post(path, 409)
    assert problem["detail"] == "it is acknowledged already, by admin"
    await ask.post(f"/api/v1/alerts/{alert}/unacknowledge")
    await audited(ask, stack, "unacknowledge")
    problem = await ask.post(f"/api/v1/alerts/{alert}/unacknowledge", 409)
    assert problem["detail"] == "it is not acknowledged"
    await ask.post(path)


@pytest.mark.parametrize(
    ("method", "path"), [("get", ""), ("post", "/acknowledge"), ("post", "/unacknowledge")]
)
async def test_wrong_ids_are_not_found(
    ask: Asker, subtests: pytest.Subtests, method: str, path: str
) -> None:
    """Whatever is no alert is a 404 with a sentence, for each operation."""
    for wrong in ("0192f0c1-2f7a-7cc3-98c4-dc0c0c07398f", "nonsense", "0", "%2e%2e"):
        with subtests.test(wrong=wrong):
            problem = await getattr(ask, method)(f"/api/v1/alerts/{wrong}{path}", 404)
            assert problem["detail"]


async def test_what_has_resolved_cannot_be_acknowledged(ask: Asker, stack: Stack) -> None:
    """A 409, and the alert is still shown, resolved, with its ledger."""
    await settled(stack)
    alert = alert_of(stack)
    stack.see("db", "docker", Result.up("running"))
    problem = await ask.post(f"/api/v1/alerts/{alert}/acknowledge", 409)
    assert problem["detail"] == "it does not fire any more"
    shown = (await ask.get(f"/api/v1/alerts/{alert}"))["alert"]
    assert shown["state"] == "resolved"
    assert shown["downtime_seconds"] >= 0
    await eventually(lambda: stack.notifier.notified("resolved"))
    assert [(t, d) for t, d, _ in await ledger(ask, alert)] == [
        ("fired", "settling"), ("released", "sent"), ("resolved", "sent"),
    ]  # fmt: skip


async def test_what_only_may_become_an_alert_cannot_be_acknowledged(
    ask: Asker, stack: Stack
) -> None:
    """One failure of three is no alert yet: a 409 that says so."""
    await settled(stack)
    stack.see("site / ü", "http", Result.down("refused"))
    (pending,) = (a for a in stack.alerting.engine.alerts.values() if a.target == "site / ü")
    problem = await ask.post(f"/api/v1/alerts/{pending.id}/acknowledge", 409)
    assert problem["detail"] == "it does not fire yet"


async def test_a_silence_suppresses_until_it_is_ended(ask: Asker, stack: Stack) -> None:
    """Made by a person, audited; what matches fires untold with the reason; ended, it is told."""
    await settled(stack)
    made = await ask.post(
        "/api/v1/silences",
        json={"matchers": ["target=we*", "severity=critical"], "duration": "2h", "comment": "work"},
    )
    assert (made["state"], made["created_by"]) == ("active", "admin")
    row = await audited(ask, stack, "silence")
    assert row["details"]["matchers"] == ["target=we*", "severity=critical"]
    stack.see("web", "docker", Result.down("crashed"))
    alert = alert_of(stack, "web")
    why = {reason for _, decision, reason in await ledger(ask, alert) if decision == "silenced"}
    # Its database is down, too, and that explains it; of the two reasons the person's is told
    # only where there is no deeper one.
    stack.see("db", "docker", Result.up("running"))
    shown = (await ask.get(f"/api/v1/alerts/{alert}"))["alert"]
    assert shown["suppressed_by"]
    assert not why or why.pop().startswith("silenced by admin until ")
    (listed,) = (await ask.get("/api/v1/silences"))["items"]
    assert listed["id"] == made["id"]
    headers = ask.headers
    ended = await ask.client.delete(f"/api/v1/silences/{made['id']}", headers=headers)
    assert (await ended.json())["state"] == "expired"
    await audited(ask, stack, "end-silence")
    again = await ask.client.delete(f"/api/v1/silences/{made['id']}", headers=headers)
    assert again.status == 409
    for wrong in (str(uuid4()), "nonsense"):
        answer = await ask.client.delete(f"/api/v1/silences/{wrong}", headers=headers)
        assert answer.status == 404


async def test_silenced_alone_is_the_persons_reason(ask: Asker, stack: Stack) -> None:
    """A target that depends on nothing: silenced, with who and why; then told."""
    await settled(stack)
    body = {"matchers": ["target=dead"], "duration": "1h", "comment": "work"}
    made = await ask.post("/api/v1/silences", json=body)
    stack.see("dead", "docker", Result.down("crashed"))
    alert = alert_of(stack, "dead")
    ((transition, decision, reason),) = await ledger(ask, alert)
    assert (transition, decision) == ("fired", "silenced")
    assert reason.startswith("silenced by admin until ")
    assert reason.endswith(": work")
    await ask.client.delete(f"/api/v1/silences/{made['id']}", headers=ask.headers)
    await eventually(lambda: ("fired", "container_down", "dead") in stack.notifier.notified())


async def test_a_silence_means_what_was_asked_and_shows_no_secret(
    ask: Asker, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pattern that holds a secret is refused: what stands in its place would match everything. A
    password that is an ordinary word is no secret there. So with maintenance."""
    hide_only(monkeypatch, {"admin", "t0psecret-value"})
    await settled(stack)
    for path, extra in (("silences", {}), ("maintenance", {"name": "move"})):
        body = {**extra, "matchers": ["target=t0psecret-value*"], "duration": "1h"}
        problem = await ask.post(f"/api/v1/{path}", 422, json=body)
        assert "looks like a secret" in problem["detail"]
        assert "t0psecret-value" not in json.dumps(problem)
        made = await ask.post(f"/api/v1/{path}", json={**body, "matchers": ["target=admin*"]})
        assert made["matchers"] == ["target=admin*"]
        (listed,) = (await ask.get(f"/api/v1/{path}"))["items"]
        assert listed["matchers"] == ["target=admin*"]
    assert (await audited(ask, stack, "silence"))["details"]["matchers"] == ["target=admin*"]
    kept = [str(m) for s in stack.alerting.quiet.silences.values() for m in s.matchers]
    assert kept == ["target=admin*"] * 2
    stack.see("dead", "docker", Result.down("crashed"))
    await eventually(lambda: ("fired", "container_down", "dead") in stack.notifier.notified())


async def test_maintenance_is_planned_and_ended_by_people(ask: Asker, stack: Stack) -> None:
    """Once or by a schedule: listed, audited, the ledger's reason; its name is taken while it
    lasts; ended, what still fires is told, and it is listed no more."""
    await settled(stack)
    body = {"name": "move", "matchers": ["target=dead"], "duration": "2h", "comment": "new rack"}
    made = await ask.post("/api/v1/maintenance", json=body)
    assert (made["origin"], made["created_by"], made["schedule"]) == ("api", "admin", None)
    assert made["until"] == made["ends_at"]
    row = await audited(ask, stack, "maintenance")
    assert (row["actor"], row["subject"]) == ("admin", "move")
    assert row["details"]["matchers"] == ["target=dead"]
    stack.see("dead", "docker", Result.down("crashed"))
    alert = alert_of(stack, "dead")
    ((transition, decision, reason),) = await ledger(ask, alert)
    assert (transition, decision) == ("fired", "maintenance")
    assert reason.startswith("maintenance window move until ")
    assert "name" in (await ask.post("/api/v1/maintenance", 409, json=body))["detail"]
    assert (await ask.get("/api/v1/silences"))["items"] == []
    weekly = await ask.post(
        "/api/v1/maintenance",
        json={
            "name": "weekly",
            "schedule": "0 3 * * 0",
            "duration": "1h",
            "timezone": "Asia/Tokyo",
        },
    )
    assert weekly["timezone"] == "Asia/Tokyo"
    assert weekly["next_start"].endswith("T18:00:00Z")
    listed = (await ask.get("/api/v1/maintenance"))["items"]
    assert [item["name"] for item in listed] == ["move", "weekly"]
    gone = await ask.client.delete("/api/v1/maintenance/move", headers=ask.headers)
    assert (await gone.json())["until"] is None
    assert (await audited(ask, stack, "end-maintenance"))["subject"] == "move"
    await eventually(lambda: ("fired", "container_down", "dead") in stack.notifier.notified())
    for name, status in (("move", 404), ("nobody", 404)):
        again = await ask.client.delete(f"/api/v1/maintenance/{name}", headers=ask.headers)
        assert again.status == status
    assert [w["name"] for w in (await ask.get("/api/v1/maintenance"))["items"]] == ["weekly"]


BAD_MAINTENANCE: tuple[tuple[dict[str, Any], str], ...] = (
    ({"duration": "1h"}, "name"),
    ({"name": "a b", "duration": "1h"}, "name"),
    ({"name": "a"}, "duration"),
    ({"name": "a", "duration": "5s"}, "from '1m' to '7d'"),
    ({"name": "a", "duration": "soon"}, "is not a duration"),
    ({"name": "a", "duration": "1h", "schedule": "now and then"}, "no cron schedule"),
    ({"name": "a", "duration": "1h", "timezone": "Mars"}, "no time zone 'Mars'"),
    ({"name": "a", "duration": "1h", "timezone": "a." * 30}, "no time zone"),
    ({"name": "a", "duration": "1h", "matchers": ["colour=red"]}, "no field of an alert"),
    ({"name": "a", "duration": "1h", "matchers": ["rule=\x1b"]}, "not contain control characters"),
    ({"name": "a", "duration": "1h", "until": "2099-01-01T00:00:00Z"}, "needs a schedule"),
    ({"name": "a", "duration": "1h", "starts_at": "2020-01-01T00:00:00Z"}, "in the past"),
    ({"name": "a", "duration": "1h", "schedule": "0 3 * * 0",
      "until": "2020-01-01T00:00:00Z"}, "in the past"),
)  # fmt: skip


async def test_bad_maintenance_is_refused_in_a_sentence(
    ask: Asker, stack: Stack, subtests: pytest.Subtests
) -> None:
    """422, what is wrong and how it should be, and nothing is planned."""
    for body, says in BAD_MAINTENANCE:
        with subtests.test(body=body):
            problem = await ask.post("/api/v1/maintenance", 422, json=body)
            assert says in problem["detail"]
            assert not stack.alerting.quiet.silences


SOON = (datetime.now(UTC) + timedelta(hours=1)).isoformat()


BAD_SILENCES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"matchers": [], "duration": "1h"}, "at least one matcher"),
    ({"matchers": ["colour=red"], "duration": "1h"}, "no field of an alert"),
    ({"matchers": ["web"], "duration": "1h"}, "no matcher; write one as"),
    ({"matchers": ["severity=loud"], "duration": "1h"}, "is no severity"),
    ({"matchers": ["target=a\n*"], "duration": "1h"}, "not contain control characters"),
    ({"matchers": ["target=\u202ea"], "duration": "1h"}, "not contain control characters"),
    ({"matchers": ["target=a"] * 21, "duration": "1h"}, "matchers"),
    ({"matchers": ["target=a"]}, "either until"),
    ({"matchers": ["target=a"], "duration": "1h", "until": SOON}, "either until"),
    ({"matchers": ["target=a"], "until": "2020-01-01T00:00:00Z"}, "end in the past"),
    ({"matchers": ["target=a"], "until": "tomorrow"}, "until"),
    ({"matchers": ["target=a"], "duration": "soon"}, "is not a duration"),
    ({"matchers": ["target=a"], "duration": "0s"}, "in the past"),
    ({"matchers": ["target=a"], "duration": "400d"}, "more than a year"),
    ({"matchers": ["target=a"], "duration": "9e999s"}, ""),
    ({"matchers": ["target=a"], "duration": "1h", "starts_at": "2020-01-01T00:00:00Z"},
     "starts_at lies in the past"),
    ({"matchers": ["target=a"], "until": SOON, "starts_at": "2099-01-01T00:00:00Z"},
     "end before it begins"),
    ({"matchers": ["target=a"], "duration": "1h", "reason": "x"}, "unknown field 'reason'"),
    ({"matchers": "target=a", "duration": "1h"}, "matchers"),
    ({"duration": "1h"}, "matchers"),
)  # fmt: skip


async def test_a_bad_silence_is_refused_in_a_sentence(
    ask: Asker, stack: Stack, subtests: pytest.Subtests
) -> None:
    """422, what is wrong and how it should be, and nothing is silenced."""
    for body, says in BAD_SILENCES:
        with subtests.test(body=body):
            problem = await ask.post("/api/v1/silences", 422, json=body)
            assert says in problem["detail"]
            assert not stack.alerting.quiet.silences


async def test_alerts_are_filtered_paged_and_shown_without_the_database(
    ask: Asker, stack: Stack
) -> None:
    """By target, type, severity and time; pages join to the whole; the database is not needed."""
    await settled(stack)
    stack.see("dead", "docker", Result.down("crashed"))
    stack.see("site / ü", "http", Result.down("refused"))
    await eventually(
        lambda: [bool(a.notified_channels) for a in stack.alerting.active()] == [True, True]
    )
    for away in (None, (datetime.now(UTC), "the connection is refused")):
        if away is None:
            await flush(stack.history)
        store_of(stack.history)._writer.away = away
        everything = (await ask.get("/api/v1/alerts"))["items"]
        assert {a["container_name"] for a in everything} == {"db", "dead"}
        first = await ask.get("/api/v1/alerts?limit=1")
        second = await ask.get(f"/api/v1/alerts?limit=1&cursor={first['next']}")
        assert [*first["items"], *second["items"]] == everything
        for query, names in (
            ("target=db", {"db"}), ("type=container_down", {"db", "dead"}), ("type=x", set()),
            ("severity=critical", {"db", "dead"}), ("severity=info", set()),
            ("since=2099-01-01T00:00:00Z", set()), ("until=2020-01-01T00:00:00Z", set()),
        ):  # fmt: skip
            items = (await ask.get(f"/api/v1/alerts?{query}"))["items"]
            assert {a["container_name"] for a in items} == names, query
        active = (await ask.get("/api/v1/alerts/active?target=dead"))["items"]
        assert [a["container_name"] for a in active] == ["dead"]
        assert (await ask.get(f"/api/v1/alerts/{alert_of(stack)}"))["affected"] == ["web"]
    store_of(stack.history)._writer.away = None


def states(page: dict[str, Any]) -> list[tuple[str, str]]:
    return [(a["container_name"], a["state"]) for a in page["items"]]


async def resolved_ones(stack: Stack, number: int) -> list[str]:
    """Alerts that came and went, after all others; their targets, newest first."""
    names = [f"brief-{n:02}" for n in range(number)]
    for name in names:
        stack.add(name, "container", "docker", "docker-health")
        stack.see(name, "docker", Result.down("crashed"))
        stack.see(name, "docker", Result.up("running"))
    await flush(stack.history)
    return names[::-1]


async def joined(ask: Asker, path: str) -> list[dict[str, Any]]:
    """All pages; none is empty but the first of an empty list."""
    items, cursor = [], ""
    while True:
        page = await ask.get(f"{path}{cursor}")
        items += page["items"]
        if page["next"] is None:
            return items
        assert page["items"]
        cursor = f"&cursor={page['next']}"


async def test_alerts_stand_in_the_order_in_which_they_fired(ask: Asker, stack: Stack) -> None:
    """One that was pending for long, and so has the lowest id, fired last: it comes first, on one
    page and on several, out of memory and out of history; a cursor of nobody begins at its time."""
    await settled(stack)
    names = (await resolved_ones(stack, 4))[::-1]
    engine, memory = stack.alerting.engine, stack.alerting.monitor.recent
    for alert in [a for a in engine.alerts.values() if a.target in names]:
        assert alert.fired_at is not None
        late = alert.fired_at + timedelta(minutes=-names.index(alert.target or ""))
        changed = evolve(alert, fired_at=late, revision=alert.revision + 1)
        engine.alerts[alert.key] = changed
        memory.keep(changed)
        stack.history.write(changed)
    await flush(stack.history)
    for left in (4, 0):
        if not left:
            memory.alerts.clear()
            for alert in [a for a in engine.alerts.values() if a.target in names]:
                del engine.alerts[alert.key]
        for limit in (1, 3, 100):
            items = await joined(ask, f"/api/v1/alerts?state=resolved&limit={limit}")
            assert [a["container_name"] for a in items] == names
    for cursor in ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"):
        items = (await ask.get(f"/api/v1/alerts?state=resolved&cursor={cursor}"))["items"]
        assert len(items) == (4 if cursor.startswith("f") else 0)


async def test_what_fires_is_found_below_any_number_of_resolved_alerts(
    ask: Asker, stack: Stack
) -> None:
    """A state is looked for in all that there is, not on the newest page: in memory, in history
    alone, and while the database is away."""
    await settled(stack)
    stack.see("dead", "docker", Result.down("crashed"))
    brief = await resolved_ones(stack, 12)
    await ask.post(f"/api/v1/alerts/{alert_of(stack, 'dead')}/acknowledge")
    await flush(stack.history)
    over = [(name, "resolved") for name in brief]
    path = "/api/v1/alerts?limit=5"
    for when in ("remembered", "history alone", "away"):
        if when == "history alone":
            stack.alerting.monitor.recent.alerts.clear()  # as after two thousand newer ones
        if when == "away":
            store_of(stack.history)._writer.away = (datetime.now(UTC), "the connection is refused")
        assert states(await ask.get(f"{path}&state=firing")) == [("db", "firing")], when
        assert states(await ask.get(f"{path}&state=acknowledged")) == [("dead", "acknowledged")]
        assert states(await ask.get(f"{path}&state=firing,acknowledged")) == [
            ("dead", "acknowledged"), ("db", "firing"),
        ]  # fmt: skip
        assert states(await ask.get(f"{path}&state=suppressed")) == []
        assert states(await ask.get("/api/v1/alerts/active?state=firing")) == [("db", "firing")]
        if when != "away":
            both = await joined(ask, f"{path}&state=resolved,firing")
            assert states({"items": both}) == [*over, ("db", "firing")]
            assert states({"items": await joined(ask, f"{path}&state=resolved")}) == over
            assert states({"items": await joined(ask, f"{path}&target=db")}) == [("db", "firing")]
    store_of(stack.history)._writer.away = None


async def test_what_fires_again_is_not_resolved_any_more(
    monkeypatch: pytest.MonkeyPatch, ask: Asker, stack: Stack
) -> None:
    """Its copy in history may lag behind: it is in the list of what fires, and in no other."""
    await settled(stack)
    alert = alert_of(stack)
    stack.see("db", "docker", Result.up("running"))
    await flush(stack.history)
    assert states(await ask.get("/api/v1/alerts?state=resolved")) == [("db", "resolved")]
    monkeypatch.setattr(stack.history, "write", lambda _: None)
    stack.see("db", "docker", Result.down("crashed"))
    assert alert_of(stack) == alert
    assert states(await ask.get("/api/v1/alerts?state=resolved")) == []
    assert states(await ask.get("/api/v1/alerts?state=firing,resolved")) == [("db", "firing")]


async def test_a_page_that_is_just_full_is_the_last(ask: Asker, stack: Stack) -> None:
    """Exactly as many alerts, or decisions, as a page holds: no next page is promised."""
    await settled(stack)
    await resolved_ones(stack, 4)

    async def told() -> bool:
        rows = (await ask.get("/api/v1/notifications"))["items"]
        return len(rows) >= 8 and all(row["decision"] != "queued" for row in rows)

    await eventually(told)
    await flush(stack.history)
    for path in ("/api/v1/alerts", "/api/v1/notifications"):
        everything = (await ask.get(path))["items"]
        stack.alerting.monitor.recent.alerts.clear()
        stack.alerting.monitor.recent.rows.clear()
        number = len(everything)
        just = await ask.get(f"{path}?limit={number}")
        assert (just["items"], just["next"]) == (everything, None)
        less = await ask.get(f"{path}?limit={number - 1}")
        assert less["next"] == everything[-2]["id"]
        assert await joined(ask, f"{path}?limit={number - 1}") == everything


async def test_the_ledger_is_filtered_and_paged(ask: Asker, stack: Stack) -> None:
    """By alert, channel and decision; pages join to the whole."""
    await settled(stack)
    stack.see("dead", "docker", Result.down("crashed"))
    await eventually(lambda: len(stack.notifier.notified("fired")) == 2)
    await flush(stack.history)
    everything = (await ask.get("/api/v1/notifications"))["items"]
    assert len(everything) == 3
    joined: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await ask.get(f"/api/v1/notifications?limit=1{cursor}")
        joined += page["items"]
        cursor = f"&cursor={page['next']}" if page["next"] else None
    assert joined == everything
    sent = (await ask.get("/api/v1/notifications?decision=sent&channel=ops"))["items"]
    assert {(r["container_name"], r["answer"]) for r in sent} == {
        ("db", "remembered"), ("dead", "remembered"),
    }  # fmt: skip
    mine = (await ask.get(f"/api/v1/notifications?alert={alert_of(stack)}"))["items"]
    assert {row["container_name"] for row in mine} == {"db"}
    assert (await ask.get("/api/v1/notifications?channel=nobody"))["items"] == []


async def test_channels_are_shown_and_tested(ask: Asker, stack: Stack) -> None:
    """A test says what was answered, right or wrong, and is audited; an unknown channel is 404."""
    await settled(stack)
    report = await ask.post("/api/v1/test-notification")
    assert report["items"] == [{"channel": "ops", "delivered": True, "answer": "remembered"}]
    stack.notifier.fail(NotifyError("the token is wrong", permanent=True))
    report = await ask.post("/api/v1/test-notification", json={"channel": "ops"})
    assert report["items"][0] == {
        "channel": "ops", "delivered": False, "answer": "the token is wrong",
    }  # fmt: skip
    await audited(ask, stack, "test-notification")
    await ask.post("/api/v1/test-notification", 404, json={"channel": "nobody"})
    (channel,) = (await ask.get("/api/v1/channels"))["items"]
    assert (channel["name"], channel["status"], channel["sent"]) == ("ops", "ok", 1)
    stack.notifier.fail(NotifyError("gone for good", disable=True))
    await ask.post("/api/v1/test-notification")
    (channel,) = (await ask.get("/api/v1/channels"))["items"]
    assert (channel["status"], channel["reason"]) == ("disabled", "gone for good")


async def test_a_channel_that_hangs_holds_up_no_other_test(
    monkeypatch: pytest.MonkeyPatch, ask: Asker, stack: Stack
) -> None:
    """All are tested at once; the report has each of them, by name."""
    await settled(stack)
    both = asyncio.Barrier(2)

    async def test(name: str) -> tuple[bool, str]:
        async with asyncio.timeout(20):
            await both.wait()  # nobody passes alone
        return True, name

    alerting = stack.alerting
    monkeypatch.setattr(alerting, "test", test)
    monkeypatch.setitem(alerting.board.channels, "another", alerting.channels["ops"])
    report = await ask.post("/api/v1/test-notification")
    assert [item["channel"] for item in report["items"]] == ["another", "ops"]


async def test_the_stream_carries_transitions(
    client: TestClient[Any, Any], ask: Asker, stack: Stack
) -> None:
    """A firing, its delivery and a silence come as events, as JSON."""
    await settled(stack)
    url = "/api/v1/stream?kinds=alert,notification,silence"
    async with client.get(url, headers=ask.headers) as stream:
        stack.see("dead", "docker", Result.down("crashed"))
        await ask.post("/api/v1/silences", json={"matchers": ["target=x"], "duration": "1h"})
        seen: dict[str, list[Any]] = {}
        kind = ""
        while not {"alert", "notification", "silence"} <= seen.keys():
            line = (await stream.content.readline()).decode().strip()
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                seen.setdefault(kind, []).append(json.loads(line.removeprefix("data: ")))
    fired = next(e for e in seen["alert"] if e["change"] == "fired")
    assert (fired["alert"]["container_name"], fired["notify"]) == ("dead", True)
    assert seen["notification"][0]["decision"] == "sent"
    assert seen["silence"][0]["matchers"] == ["target=x"]


async def test_what_people_change_is_on_disk_when_it_is_answered(ask: Asker, stack: Stack) -> None:
    """A crash right after the answer loses no acknowledgement, silence or maintenance window."""

    def kept(table: str) -> str:
        with sqlite3.connect(stack.data_dir / "journal.db") as journal:
            return str(journal.execute(f"SELECT data FROM {table}").fetchall())

    (alert,) = (await ask.get("/api/v1/alerts/active"))["items"]
    await ask.post(f"/api/v1/alerts/{alert['id']}/acknowledge", json={"comment": "on it"})
    assert "on it" in kept("alerts")
    await ask.post("/api/v1/alerts/" + alert["id"] + "/unacknowledge")
    assert "on it" not in kept("alerts")
    silence = {"matchers": ["target=web"], "duration": "1h", "comment": "patching"}
    await ask.post("/api/v1/silences", json=silence)
    assert "patching" in kept("silences")
    window = {"name": "w", "matchers": ["target=web"], "schedule": "0 3 * * 0", "duration": "2h"}
    await ask.post("/api/v1/maintenance", json=window)
    assert "0 3 * * 0" in kept("silences")
