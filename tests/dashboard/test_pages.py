"""The pages' logic against a real API: what they show, what they ask, and each designed state."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve

from tests.dashboard.conftest import Pages, bars, calm, shown
from tests.dashboard.past import HABITS
from tests.dashboard.town import Town, log_lines, running
from tests.kept import flush, store_of
from tests.store.conftest import Server, server
from tocsin.core.contracts.container import Reason
from tocsin.core.contracts.model import LogLine, Result
from tocsin.core.contracts.route import Role

__all__ = ["server"]
ALL = ("overview", "alerts", "history", "system", "target")
HOSTILE = "<img src=x onerror=alert(1)> [x](javascript:alert(1)) **b** :red[r] \u202egnp.exe"


def down(name: str, town: Town, message: str = "crashed (exit 1)") -> None:
    facts = evolve(running(), state="exited", reason=Reason.CRASHED, exit_code=1,
                   cpu_percent=None, memory_bytes=None, memory_percent=None)  # fmt: skip
    town.put(name, Result.down(message, container=facts))


def up(name: str, town: Town) -> None:
    town.put(name, Result.up("running", container=running()))


# In order


def test_the_overview_shows_the_trade_system(pages: Pages, town: Town) -> None:
    """Cards with counts, a card for each target with status, CPU and memory, uptime bars."""
    pages.point(town)
    at = pages.open()
    calm(at)
    cards = {m.label.split(": ")[-1].rstrip("]"): m.value for m in at.metric}
    cards = {label.rpartition(" ")[2].rstrip("]"): value for label, value in cards.items()}
    text = shown(at)
    assert cards["Running"] == "12 / 13"
    assert cards["Critical"] == "0"
    assert cards["Health"] == "100 %"
    for name in (*HABITS, "certbot", "host"):
        assert name in text
    assert "Completed" in text
    assert text.count("CPU\u00a0") == 13
    assert len(bars(at)) >= 12


def test_a_target_that_goes_down_is_red_and_first(pages: Pages, town: Town) -> None:
    """Status, cards and the recent alerts change at the next look, which asks only for changes."""
    pages.point(town)
    at = pages.open()
    down("vector-db", town)
    town.calls.clear()
    at.run()
    calm(at)
    text = shown(at)
    assert ":red-badge[:material/error: Crashed (exit 1)]" in text
    assert "Container down: crashed (exit 1)" in text
    assert text.index("vector-db") < text.index("certbot")
    assert town.calls["/api/v1/containers"] == 1
    up("vector-db", town)
    at.run()
    assert ":red-badge" not in shown(at).partition("Recent alerts")[0]


def test_filters_and_groups(pages: Pages, town: Town) -> None:
    """A search, a status, a group: by hand or out of the address."""
    pages.point(town)
    at = pages.open(q="fastapi")
    text = shown(at).partition("Recent alerts")[0]
    assert "fastapi-prod" in text
    assert "pgadmin" not in text
    at.text_input(key="q").set_value("nothing like it").run()
    assert "No target matches the filter" in shown(at)
    at.text_input(key="q").set_value("").run()
    at = pages.open(status="Critical")
    assert "No target matches the filter" in shown(at)
    at = pages.open(group="By kind")
    assert "container · 13" in shown(at)
    assert "host · 1" in shown(at)
    calm(at)


def test_the_page_of_a_container(pages: Pages, town: Town) -> None:
    """Facts, charts from history with average, maximum and now, logs coloured, health history."""
    town.stack.lines["postgres"] = log_lines(town, ["INFO ready", "ERROR broken", "plain"])
    pages.point(town)
    at = pages.open("target", name="postgres")
    calm(at)
    text = shown(at)
    assert "(last 7 days)" in text
    assert "Full logs" in [link.proto.label for link in at.get("page_link")]
    assert "busybox:1.36" in text
    assert "8003->8000/tcp" in text
    assert "Average **" in text
    assert "Maximum **" in text
    assert len(at.get("plotly_chart")) == 3
    (lines,) = [h.proto.body for h in at.get("html") if "<section" in h.proto.body]
    assert '<div class="error"><time datetime="' in lines
    assert "3 lines of the last 3" in text
    assert "available" in text
    assert "Depends on" not in text
    at = pages.open("target", name="postgres", log="broken")
    assert "1 line of the last 3" in shown(at)
    at = pages.open("target", name="postgres", level="Debug")
    assert "None of the last 3 lines matches." in shown(at)


def test_alerts_and_restarts_are_marked_on_the_time_axis(pages: Pages, town: Town) -> None:
    """The outage of vector-db within the day: its alert, its end and its start are in the chart,
    beside the lines of what is expected and of the limit."""
    pages.point(town)
    at = pages.open("target", name="vector-db")
    calm(at)
    spec = at.get("plotly_chart")[1].proto.spec
    assert "killed for memory" in spec
    assert "Started" in spec
    assert "expected" in spec
    assert "limit" in spec
    assert "Ended with exit code 137" in shown(at)


def test_a_target_that_is_no_container(pages: Pages, town: Town) -> None:
    """A host has facts and health history, and neither logs nor a restart."""
    pages.point(town)
    at = pages.open("target", name="host")
    calm(at)
    text = shown(at)
    assert "61 % of / is free" in text
    assert "Logs" not in text
    assert "Restart" not in [button.label for button in at.button]


def test_a_target_whose_source_reads_a_log(pages: Pages, empty_town: Town) -> None:
    """A target of any kind has what its source can do: here its log, and nothing else."""
    empty_town.act(empty_town.stack.add, "anna", "ship", "fleet", "fleet")
    empty_town.act(empty_town.stack.see, "anna", "fleet", Result.up("afloat"))
    empty_town.stack.lines["anna"] = [LogLine(text="land in sight")]
    empty_town.do(flush(empty_town.stack.history))
    pages.point(empty_town)
    at = pages.open("target", name="anna")
    calm(at)
    assert "land in sight" in "".join(html.proto.body for html in at.get("html"))
    labels = [button.label for button in at.button]
    assert "Restart" not in labels
    assert "Inspect" not in labels


def test_the_timeline_of_alerts(pages: Pages, town: Town) -> None:
    """Past alerts by day, filtered by severity, state, target; each leads to its own page."""
    pages.point(town)
    at = pages.open("alerts")
    calm(at)
    text = shown(at)
    assert "High CPU (97 %), above 95 %" in text
    assert "warning, lasted 34m" in text
    text = shown(pages.open("alerts", severity="Critical"))
    assert "High CPU" not in text
    assert "killed for memory" in text
    text = shown(pages.open("alerts", target="db-backup"))
    assert "the newest backup is 31 h old" in text
    assert "vector-db" not in text
    assert "No alert matches the filter" in shown(pages.open("alerts", state="Suppressed"))


def test_why_an_alert_was_told_or_not(pages: Pages, town: Town) -> None:
    """One alert's page has its ledger; the tab has everybody's, by decision."""
    down("tradingview", town)
    alert = town.do(_active(town, "tradingview"))
    pages.point(town)
    at = pages.open("alerts", id=str(alert.id))
    calm(at)
    text = shown(at)
    assert "Container down: tradingview" in text
    assert "fired → ops" in text
    at = pages.open("alerts", view="Why notified, why not")
    calm(at)
    assert "Container down: tradingview" in shown(at)
    at = pages.open("alerts", view="Why notified, why not", decision="Maintenance")
    assert "No decisions found" in shown(at)
    up("tradingview", town)


async def _active(town: Town, target: str) -> Any:
    return next(a for a in town.stack.alerting.active() if a.target == target)


def test_history_of_a_day_a_week_a_month(pages: Pages, town: Town) -> None:
    """Uptime bars of every target, trends, alerts by type and by hour."""
    pages.point(town)
    for span in ("24h", "7d", "30d"):
        at = pages.open("history", span=span)
        calm(at)
        assert "vector-db" in shown(at)
        assert len(at.get("plotly_chart")) == 4
        assert len(bars(at)) == 14


def test_tocsin_itself(pages: Pages, town: Town) -> None:
    """Parts, channels, plugins with their options; the audit for administrators alone."""
    pages.point(town)
    at = pages.open("system")
    calm(at)
    text = shown(at)
    assert "scheduler" in text
    assert "docker-health" in text
    assert "recording, info and above" in text
    assert "Sign in with an administrator's token" in text
    assert at.dataframe
    at = pages.open("system", token=town.tokens["admin"])
    calm(at)
    assert "Sign in with an administrator" not in shown(at)


# A fixed number of requests


def asked(pages: Pages, town: Town, page: str, **query: str) -> Counter[str]:
    town.calls.clear()
    calm(pages.open(page, **query))
    return Counter(town.calls)


@pytest.mark.slow
def test_each_page_asks_a_fixed_number_of_times(pages: Pages, town: Town, empty_town: Town) -> None:
    """1,000 targets cost as many requests as one, on every page; a second look fewer."""
    pages.point(empty_town)
    up("a", empty_town)
    few = {page: asked(pages, empty_town, page, name="a") for page in ALL}
    for n in range(999):
        up(f"svc-{n:03}", empty_town)
    many = {page: asked(pages, empty_town, page, name="a") for page in ALL}
    for page in ALL:
        assert sum(many[page].values()) == sum(few[page].values()), page
        assert sum(many[page].values()) <= 10, page  # a week's restarts once a minute


@pytest.mark.slow
def test_a_thousand_targets_are_paged(pages: Pages, empty_town: Town) -> None:
    """Sixty cards at once, the worst first, the rest by page, search and group."""
    for n in range(1000):
        up(f"svc-{n:03}", empty_town)
    down("svc-777", empty_town)
    pages.point(empty_town)
    at = pages.open()
    calm(at)
    text = shown(at).partition("Recent alerts")[0]
    assert text.count("CPU\u00a0") == 60
    assert "svc-777" in text
    assert "1,000 targets, 60 per page" in text
    assert {m.value for m in at.metric} >= {"999 / 1000", "1"}
    at.pagination(key="page").set_value(17).run()
    text = shown(at).partition("Recent alerts")[0]
    assert text.count("CPU\u00a0") == 40
    assert "svc-999" in text
    at = pages.open(q="svc-99")
    assert shown(at).partition("Recent alerts")[0].count("CPU\u00a0") == 10


# Designed states


@pytest.mark.slow
def test_nothing_is_watched_yet(pages: Pages, empty_town: Town) -> None:
    """Every page has words for an empty tocsin."""
    pages.point(empty_town)
    for page in ALL:
        calm(pages.open(page))
    assert "Nothing is watched yet" in shown(pages.open())
    assert "No alert yet" in shown(pages.open("alerts"))
    assert "No alert fired in this range." in shown(pages.open("history"))
    assert "No target is selected" in shown(pages.open("target"))


def test_no_data_yet(pages: Pages, empty_town: Town) -> None:
    """A container that was just found has facts and no curves."""
    up("new", empty_town)
    empty_town.do(flush(empty_town.stack.history))
    pages.point(empty_town)
    at = pages.open("target", name="new", range="1h")
    calm(at)
    assert "Nothing has been written to the log yet." in shown(at)


def test_a_target_that_is_not_there(pages: Pages, town: Town) -> None:
    """An address out of date says so, and links back."""
    pages.point(town)
    at = pages.open("target", name="gone/../x")
    calm(at)
    assert "Not found" in shown(at)
    assert "there is no target called 'gone/../x'" in shown(at)
    for word in ("not-an-id", "active", "frequency"):
        at = pages.open("alerts", id=word)
        calm(at)
        assert f"'{word}' is not the id of an alert" in shown(at)


@pytest.mark.slow
def test_the_api_is_gone_and_comes_back(pages: Pages, empty_town: Town) -> None:
    """Unreachable is told on every page without a trace of a stack; the next look recovers."""
    up("web", empty_town)
    pages.point(empty_town)
    at = pages.open()
    empty_town.do(empty_town.close())
    at.run()
    calm(at)
    assert "tocsin cannot be reached" in shown(at)
    for page in ALL:
        gone = pages.open(page, name="web")
        calm(gone)
        assert "cannot be reached" in shown(gone)
    calm(pages.open(token=empty_town.tokens["operator"]))
    empty_town.do(empty_town.open())
    at.run()
    assert "web" in shown(at)
    assert "cannot be reached" not in shown(at)


@pytest.mark.parametrize("token", ["", "tocsin_wrong", "expired"])
def test_the_dashboards_own_token_is_not_accepted(pages: Pages, town: Town, token: str) -> None:
    """Missing, wrong, expired: one designed state."""
    if token == "expired":
        name = f"old {id(pages)}"
        token = town.act(town.stack.tokens.create, name, Role.VIEWER, -1.0)
    pages.point(town, token)
    at = pages.open()
    calm(at)
    assert "This token is not accepted" in shown(at)


@pytest.mark.slow
def test_history_is_away(pages: Pages, tmp_path: Path, server: Server) -> None:
    """A database that was stopped: the live part goes on, charts say why they are missing."""
    town = Town(tmp_path / "town", asyncio.run(server.start()))
    town.directory.mkdir()
    town.start()
    up("web", town)
    town.do(flush(town.stack.history))
    pages.point(town)
    asyncio.run(server.stop())
    at = pages.open()
    calm(at)
    assert "web" in shown(at)
    at = pages.open("target", name="web")
    calm(at)
    assert "Charts: history is unavailable" in shown(at)
    assert "busybox:1.36" in shown(at)
    at = pages.open("history")
    calm(at)
    assert shown(at).count("history is unavailable") == 3
    town.stop()


@pytest.mark.slow
def test_too_many_requests(pages: Pages, town: Town) -> None:
    """429 is a state that asks for patience."""
    pages.point(town, "tocsin_wrong")
    for _ in range(25):
        httpx.get(town.url + "/api/v1/status")
    at = pages.open()
    calm(at)
    assert "Too many requests" in shown(at)
    assert "accepts requests again in" in shown(at)
    town.calls.clear()
    at.run()  # so patient it is: each look would make the wait longer
    assert "accepts requests again in" in shown(at)
    assert sum(town.calls.values()) == 0
    town.act(town.server._failures._failures.clear)


# Who reads


def test_other_addresses_ask_for_the_readers_own_token(pages: Pages, town: Town) -> None:
    """Nothing is shown before a token is given; a wrong one is refused in words; a right one lets
    in, and the reader's name is told."""
    pages.point(town, sign_in=True)
    at = pages.open()
    calm(at)
    assert "postgres" not in shown(at)
    assert "Sign in with your own token" in shown(at)
    at.text_input[0].set_value("tocsin_wrong")
    at.button[0].click().run()
    assert "This token is not accepted" in shown(at)
    at.text_input[0].set_value(f" {town.tokens['operator']} ")
    at.button[0].click().run()
    calm(at)
    assert "postgres" in shown(at)
    assert "operator: operator" in shown(at)
    at.button(key="sign-out").click().run()
    assert "postgres" not in shown(at)


def test_a_viewer_may_look_and_is_told_why_not_act(pages: Pages, town: Town) -> None:
    """With a viewer's token of one's own, actions are held, and say why."""
    down("pgadmin", town)
    pages.point(town)
    at = pages.open("target", name="pgadmin", token=town.tokens["viewer"])
    calm(at)
    silence = at.button(key="silence")
    assert silence.disabled
    assert "needs the role operator" in silence.help.replace("\\", "")
    up("pgadmin", town)


@pytest.mark.slow
def test_an_action_leads_to_signing_in_first(pages: Pages, town: Town) -> None:
    """Without a token of one's own, Ack asks for it, and goes on to what was wanted."""
    down("pgadmin", town)
    pages.point(town)
    at = pages.open("target", name="pgadmin")
    at.button(key="acknowledge").click().run()
    calm(at)
    field = next(t for t in at.text_input if t.label == "Token")
    field.set_value(town.tokens["operator"])
    next(b for b in at.button if b.label == "Sign in" and b.key != "sign-in").click().run()
    calm(at)
    at.text_input(key="ack-comment").set_value("on it")
    at.button(key="dialog-confirm").click().run()
    calm(at)
    alert = town.do(_active(town, "pgadmin"))
    assert (alert.acknowledged_by, alert.comment) == ("operator", "on it")
    rows = town.do(_audit(town))
    assert ("operator", "acknowledge") in {(row.actor, row.action) for row in rows}
    at.run()
    assert "Acknowledged by operator" in shown(at)
    up("pgadmin", town)


async def _audit(town: Town) -> Any:
    await flush(town.stack.history)
    return await store_of(town.stack.history).audit(50)


@pytest.mark.slow
def test_restart_and_silence(pages: Pages, town: Town) -> None:
    """Both are confirmed first, and done under the reader's own token; what is not allowed says
    so before it is tried."""
    up("web-1", town)
    pages.point(town)
    at = pages.open("target", name="web-1", token=town.tokens["operator"])
    at.button(key="restart").click().run()
    assert town.stack.restarted == []
    at.button(key="dialog-cancel").click().run()
    assert town.stack.restarted == []
    at.button(key="restart").click().run()
    at.button(key="dialog-confirm").click().run()
    calm(at)
    assert town.stack.restarted == ["web-1"]
    at.button(key="restart").click().run()
    at.button(key="dialog-confirm").click().run()
    calm(at)
    assert "restarted" in shown(at)  # too soon: refused in the API's own words
    at.button(key="dialog-cancel").click().run()
    at.button(key="silence").click().run()
    at.button(key="dialog-confirm").click().run()
    calm(at)
    (silence,) = town.act(lambda: list(town.stack.alerting.quiet.silences.values()))
    assert [str(m) for m in silence.matchers] == ["target=web-1"]
    assert silence.created_by == "operator"
    assert silence.ends_at - silence.starts_at == timedelta(hours=1)
    at = pages.open("target", name="postgres", token=town.tokens["operator"])
    assert at.button(key="restart").disabled


# Strangers


@pytest.mark.slow
def test_hostile_names_messages_and_lines_are_shown_as_they_are(
    pages: Pages, empty_town: Town
) -> None:
    """Markdown of a name, a message or a log line stays text on every page."""
    name = "<b>x</b> [y](javascript:z) :red[q] `c` $m$"
    down(name, empty_town, HOSTILE)
    empty_town.stack.lines[name] = log_lines(empty_town, [HOSTILE])
    pages.point(empty_town)
    for page in ALL:
        at = pages.open(page, name=name)
        calm(at)
        for text in (*at.markdown, *at.caption, *at.title):
            value = str(text.value)
            assert not re.search(r"(?<!\\)(<|\]\(|`c`)|:red\[[qr]", value), (page, value)
        for element in at.get("page_link"):
            assert not re.search(r"(?<!\\)[<\[`]", element.proto.label)
        for element in at.get("html"):
            assert "<img" not in element.proto.body
        assert "\u202e" not in shown(at)
