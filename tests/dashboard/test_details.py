"""What the pages say in detail: counts, dates, units, and what stands still while they refresh."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import evolve
from streamlit.testing.v1 import AppTest

from tests.dashboard.conftest import Pages, bars, calm, shown
from tests.dashboard.test_pages import HOSTILE, down, up
from tests.dashboard.town import Town, log_lines, running
from tests.kept import flush
from tocsin import Panel, PanelChart, PanelCurve, PanelFact, hookimpl
from tocsin.core.contracts.container import Reason
from tocsin.core.contracts.model import Event, Result
from tocsin.dashboard import logs, words
from tocsin.dashboard.views.target_past import restarts_of


def cards(at: AppTest) -> dict[str, tuple[str, str]]:
    """The cards of the overview by their word: the label as it is coloured, and the number."""
    found = {}
    for metric in at.metric:
        word = re.sub(r"^:\w+\[|\]$", "", metric.label).rpartition(" ")[2]
        found[word] = (metric.label, str(metric.value))
    return found


def card_texts(at: AppTest) -> str:
    """What stands in the cards, names under the numbers too."""
    return shown(at).partition("Search")[0].partition("Last check")[0]


def happen(town: Town, name: str, actions: list[str], minutes: float = 20.0) -> None:
    """Events of a container, a second apart."""
    at = town.stack.clock.now() - timedelta(minutes=minutes)
    for n, action in enumerate(actions):
        event = Event(target=name, source="docker", action=action, at=at + timedelta(seconds=n))
        town.act(town.stack.history.write, event)
    town.do(flush(town.stack.history))


# The overview's cards


def test_a_search_does_not_change_the_cards(pages: Pages, empty_town: Town) -> None:
    """They count all targets and name the same ones, whatever is typed; the grid follows it, and
    nothing is asked for that is there already."""
    for n in range(3):
        up(f"svc-{n}", empty_town)
    down("db", empty_town)
    pages.point(empty_town)
    at = pages.open()
    before, texts = cards(at), card_texts(at)
    assert before["Critical"][1] == "1"
    assert "db" in texts
    empty_town.calls.clear()
    at.text_input(key="q").set_value("SVC-1").run()
    calm(at)
    assert cards(at) == before
    assert card_texts(at).split("Updated")[0] == texts.split("Updated")[0]
    grid = shown(at).partition("Recent alerts")[0]
    assert grid.count("CPU\u00a0") == 1
    assert empty_town.calls["/api/v1/uptime"] == 0


def test_the_cards_count_beyond_a_thousand_targets(pages: Pages, empty_town: Town) -> None:
    """Past the number that a reader's page keeps: those that are down, those with a critical alert
    that are not, each once, and the same with a search."""
    for n in range(1005):
        up(f"svc-{n:04}", empty_town)
    for name in ("svc-1003", "svc-1004"):
        down(name, empty_town)
    empty_town.put("svc-1001", Result.degraded("slow", container=running()))
    full = running(cpu=99.0)
    empty_town.put("svc-1002", Result.up("running", container=full))
    alerts = empty_town.act(lambda: list(empty_town.stack.alerting.active()))
    loud = {a.target: a.severity.value for a in alerts if a.severity.value != "info"}
    critical = {n for n, s in loud.items() if s == "critical"} | {"svc-1003", "svc-1004"}
    warning = ({n for n, s in loud.items() if s == "warning"} | {"svc-1001"}) - critical
    pages.point(empty_town)
    at = pages.open()
    calm(at)
    before = cards(at)
    assert before["Critical"][1] == str(len(critical))
    assert before["Warning"][1] == str(len(warning))
    assert "svc-1003" in card_texts(at)
    at.text_input(key="q").set_value("svc-000").run()
    calm(at)
    assert cards(at) == before
    assert shown(at).partition("Recent alerts")[0].count("CPU\u00a0") == 10


def test_an_alert_beyond_a_thousand_targets_is_counted_once(pages: Pages, empty_town: Town) -> None:
    """A target that is up and has a critical alert is critical; one that is degraded and has one is
    so too, and no warning any more."""
    for n in range(1001):
        up(f"svc-{n:04}", empty_town)
    for name in ("svc-1000", "svc-0999"):
        down(name, empty_town)
    pages.point(empty_town)
    at = pages.open()
    known = at.session_state["_overview"]
    assert known.worst()["critical"] == (2, ["svc-0999", "svc-1000"])
    # What the API says a moment later: one is seen again, its alert still fires.
    known.wrong["down"].items.pop("svc-1000")
    known.wrong["down"].total = 1
    known.wrong["degraded"].items["svc-1000"] = {}
    known.wrong["degraded"].total = 1
    assert known.worst()["critical"] == (2, ["svc-0999", "svc-1000"])
    assert known.worst()["warning"] == (0, [])


def test_running_is_green_only_where_all_run(pages: Pages, empty_town: Town) -> None:
    """A finished job is no shortcoming, one that crashed is; an unhealthy one is named."""
    up("a", empty_town)
    done = evolve(running(), state="exited", reason=Reason.COMPLETED, exit_code=0)
    empty_town.put("job", Result.up("completed", container=done))
    pages.point(empty_town)
    label, value = cards(pages.open())["Running"]
    assert (value, label.startswith(":green[")) == ("1 / 2", True)
    sick = evolve(running(), reason=Reason.UNHEALTHY)
    empty_town.put("a", Result.degraded("unhealthy", container=sick))
    assert "1 unhealthy, 1 completed" in card_texts(pages.open())
    down("a", empty_town)
    label, value = cards(pages.open())["Running"]
    assert (value, label.startswith(":green[")) == ("0 / 2", False)


# History


def test_a_search_in_the_history_begins_at_its_first_page(pages: Pages, empty_town: Town) -> None:
    """Typed on the second page it finds what there is, and without it the list begins anew."""
    for n in range(60):
        up(f"svc-{n:02}", empty_town)
    pages.point(empty_town)
    at = pages.open("history")
    assert len(bars(at)) == 25
    at.button(key="rows-on").click().run()
    at.button(key="rows-on").click().run()
    assert "3 of 3" in shown(at)
    assert len(bars(at)) == 10
    at.button(key="rows-back").click().run()
    assert "2 of 3" in shown(at)
    at.text_input(key="find").set_value("svc-0").run()
    calm(at)
    text = shown(at)
    assert "No target matches the search" not in text
    assert "svc-00" in text
    assert len(bars(at)) == 10
    at.text_input(key="find").set_value("").run()
    assert "1 of 3" in shown(at)
    calm(at)


def test_a_page_of_the_history_that_is_gone(pages: Pages, empty_town: Town) -> None:
    """Targets that are removed take the last page with them: the first is shown."""
    for n in range(26):
        up(f"svc-{n:02}", empty_town)
    pages.point(empty_town)
    at = pages.open("history")
    at.button(key="rows-on").click().run()
    assert len(bars(at)) == 1
    empty_town.act(empty_town.stack.drop, "svc-25")
    at.run()
    calm(at)
    assert len(bars(at)) == 25


# A target


def test_one_restart_is_one_start(pages: Pages, empty_town: Town) -> None:
    """An engine tells ``docker restart`` in five events; one of them is the start."""
    up("once", empty_town)
    happen(empty_town, "once", ["kill", "die", "stop", "start", "restart"])
    pages.point(empty_town)
    at = pages.open("target", name="once", range="1h")
    calm(at)
    assert "1 start\n" in shown(at)
    empty_town.put("once", Result.up("running", container=running(cpu=7.0)))
    empty_town.do(flush(empty_town.stack.history))
    at = pages.open("target", name="once", range="1h")
    assert at.get("plotly_chart")[0].proto.spec.count('"Started"') == 1


def test_more_starts_than_are_read(pages: Pages, empty_town: Town) -> None:
    """Where the events of the range do not fit into one answer, the count says so."""
    up("loop", empty_town)
    happen(empty_town, "loop", ["die", "start"] * 101)
    pages.point(empty_town)
    at = pages.open("target", name="loop", range="1h")
    calm(at)
    assert "100+ starts" in shown(at)


def test_charts_stand_still_between_two_looks(pages: Pages, town: Town) -> None:
    """A result came, nothing has finished: Streamlit is given the same charts, by their ids, and
    so leaves them on the page."""
    pages.point(town)
    for page, number in (("target", 3), ("history", 4)):
        at = pages.open(page, name="postgres", range="30d", span="30d")
        ids = [chart.proto.id for chart in at.get("plotly_chart")]
        assert len(ids) == number
        town.put("postgres", Result.up("running", container=running(cpu=9.0)))
        town.do(flush(town.stack.history))
        at.run()
        calm(at)
        assert [chart.proto.id for chart in at.get("plotly_chart")] == ids


def test_the_response_time_of_a_service(pages: Pages, empty_town: Town) -> None:
    """A check that says how long it took has a chart of it, with average and maximum, and each page
    costs no request more; a check that does not has none."""
    for latency in (0.02, 0.06):
        empty_town.put("site", Result.up("200", latency=latency), "service")
    empty_town.do(flush(empty_town.stack.history))
    pages.point(empty_town)
    empty_town.calls.clear()
    at = pages.open("target", name="site", range="1h")
    calm(at)
    assert len(at.get("plotly_chart")) == 1
    assert "Response time: average **40 ms**   ·   maximum **60 ms**" in shown(at)
    histories = [path for path in empty_town.calls.elements() if path.endswith("/history")]
    assert histories == ["/api/v1/checks/site/http/history"]
    up("quiet", empty_town)
    empty_town.do(flush(empty_town.stack.history))
    assert "Response time" not in shown(pages.open("target", name="quiet", range="1h"))


def test_names_of_checks_are_shown_as_they_are(pages: Pages, empty_town: Town) -> None:
    """A name is a stranger's too: nothing in it is markup where a check is chosen, and usual names
    stand in the address as they are."""
    up("web", empty_town)
    for name in (HOSTILE, "[y](javascript:z) :red[q]", "docker-2"):

        def add(check: str = name) -> None:
            empty_town.stack.add("web", "container", check, "http")
            empty_town.stack.see("web", check, Result.up("200"))

        empty_town.act(add)
    pages.point(empty_town)
    at = pages.open("target", name="web")
    calm(at)
    (choice,) = [group for group in at.segmented_control if group.label == "Check"]
    labels = [option.content for option in choice.proto.options]
    assert len(labels) == 4
    assert labels[0] == "docker"
    assert "docker-2" in labels
    for label in labels:
        assert not re.search(r"(?<!\\)(<|\]\(|\*)|:red\[[rq]", label), label
    at = pages.open("target", name="web", check="docker-2")
    calm(at)
    assert at.session_state["check"] == "docker-2"


# Logs


def test_log_lines_of_another_day_carry_their_date() -> None:
    """Today's have the clock, in the reader's zone; the moment itself is in the markup."""
    now = datetime(2026, 11, 25, 1, 0, tzinfo=UTC)
    berlin = words.zone_of("Europe/Berlin")
    texts = [("2026-11-24T02:00:01Z", "old"), ("2026-11-24T23:30:02Z", "new"), (None, "never")]
    lines = logs.read({"at": at, "stream": "stdout", "text": text} for at, text in texts)
    html = logs.render(lines, berlin, now)
    assert '<time datetime="2026-11-24T03:00:01+01:00">24 Nov 03:00:01</time>old' in html
    assert '<time datetime="2026-11-25T00:30:02+01:00">00:30:02</time>new' in html
    assert '<div class="plain">never' in html


def test_lines_scroll_inside_a_box_that_stays(pages: Pages, empty_town: Town) -> None:
    """Many lines stand in a container of one height; a few take the room they need."""
    up("web", empty_town)
    pages.point(empty_town)

    def height(number: int) -> Any:
        empty_town.stack.lines["web"] = log_lines(empty_town, [f"line {n}" for n in range(number)])
        at = pages.open("target", name="web")
        calm(at)
        blocks = [at._tree]
        while blocks:
            block = blocks.pop()
            proto: Any = getattr(block, "proto", None)
            if "log-lines" in str(getattr(proto, "id", "")):
                return proto.height_config.pixel_height
            blocks += getattr(block, "children", {}).values()
        raise AssertionError("no box of lines")

    assert height(50) == 430
    assert height(3) == 0


def test_a_restart_is_a_start_after_an_end() -> None:
    """The first start of a container, and one that nothing of an end is known before, is none."""
    told = ["start", "die", "start", "kill", "die", "die", "start", "health_status", "die"]
    assert restarts_of([{"action": action} for action in reversed(told)]) == 2
    assert restarts_of([]) == 0


# Panels that plugins declare


class Queues:
    """A plugin with panels for HTTP checks."""

    @hookimpl
    def tocsin_panels(self) -> list[Panel]:
        curves = (PanelCurve(metric="waiting", label=HOSTILE[:60]), PanelCurve(metric="done"))
        return [
            Panel(
                name="queue", title="A queue", probes=("http",), text="See the **runbook**.",
                facts=(
                    PanelFact(label="Waiting", value="waiting", unit="jobs"),
                    PanelFact(label="Open", value="is_open"),
                    PanelFact(label="Never there", value="missing"),
                ),
                charts=(
                    PanelChart(title="Length", curves=curves, unit="jobs"),
                    PanelChart(title="Age", curves=(PanelCurve(metric="age_seconds"),)),
                ),
            )
        ]  # fmt: skip


def test_a_panel_of_a_plugin_is_shown(pages: Pages, empty_town: Town) -> None:
    """Its facts that are known, with their units, its text, its charts with their values; labels
    are text. Where a target has several panels each has a heading, with its check."""
    empty_town.act(empty_town.stack.plugins.add, "queues", Queues, "tests", "0")
    for waiting in (2.0, 4.0):
        metrics = {"waiting": waiting, "done": 1234.0, "age_seconds": 90.0}
        result = Result.up("200", metrics=metrics, attributes={"is_open": True})
        empty_town.put("site", result, "service")
    empty_town.do(flush(empty_town.stack.history))
    pages.point(empty_town)
    at = pages.open("target", name="site", range="1h")
    calm(at)
    text = shown(at)
    for words_shown in (
        "Answer · http", "A queue · http", "Waiting\n4 jobs", "Open\nyes", "See the **runbook**.",
        "done **1,234 jobs**", "Average **1m 30s**   ·   Maximum **1m 30s**   ·   Now **1m 30s**",
    ):  # fmt: skip
        assert words_shown in text, words_shown
    assert "Never there" not in text
    assert len(at.get("plotly_chart")) == 2
    up("web", empty_town)
    assert "Resource usage" not in shown(pages.open("target", name="web", range="1h"))
