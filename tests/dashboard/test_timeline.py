"""Lists of alerts and of decisions that are longer than a page."""

from __future__ import annotations

import httpx

from tests.conftest import eventually
from tests.dashboard.conftest import Pages, calm, shown
from tests.dashboard.test_pages import down, up
from tests.dashboard.town import Town
from tests.kept import flush
from tocsin.core.contracts.model import ComponentHealth, Health, Result


def many_alerts(town: Town, number: int) -> None:
    """One that fires, below so many newer ones that are over."""
    alerting = town.stack.alerting
    town.do(eventually(lambda: alerting.engine.muting.settled))
    down("long-ago", town)
    for n in range(number):
        down(f"brief-{n:03}", town)
        up(f"brief-{n:03}", town)


def following(town: Town, path: str) -> str:
    """The cursor of the page after this one."""
    headers = {"Authorization": f"Bearer {town.tokens['viewer']}"}
    return str(httpx.get(f"{town.url}/api/v1/{path}", headers=headers).json()["next"])


def test_what_fires_is_shown_below_more_than_a_page(pages: Pages, empty_town: Town) -> None:
    """The oldest of 57 alerts fires: its state finds it, and so does the second page; another
    filter leaves the second page for the newest of what it finds."""
    many_alerts(empty_town, 56)
    pages.point(empty_town)
    assert "long-ago" not in shown(pages.open("alerts"))
    text = shown(pages.open("alerts", state="Firing"))
    assert "long-ago" in text
    assert "brief-" not in text
    assert "No alert matches the filter" in shown(pages.open("alerts", state="Acknowledged"))
    at = pages.open("alerts", before=following(empty_town, "alerts?limit=50"))
    calm(at)
    assert "long-ago" in shown(at)
    assert "brief-055" not in shown(at)
    assert at.button(key="older").disabled
    at.pills(key="state").set_value(["Resolved"]).run()
    calm(at)
    assert "before" not in at.query_params
    assert "brief-055" in shown(at)
    assert "long-ago" not in shown(at)


def test_a_page_that_is_just_full_has_no_older_one(pages: Pages, empty_town: Town) -> None:
    """Fifty alerts are one page: nothing older is offered."""
    many_alerts(empty_town, 49)
    empty_town.do(flush(empty_town.stack.history))
    pages.point(empty_town)
    at = pages.open("alerts")
    calm(at)
    assert "long-ago" in shown(at)
    assert "older" not in [button.key for button in at.button]


def test_the_ledger_has_older_pages(pages: Pages, empty_town: Town) -> None:
    """More than forty decisions: the next page goes on where the last one ended; one decision
    alone begins with the newest again."""
    many_alerts(empty_town, 30)
    pages.point(empty_town)
    at = pages.open("alerts", view="Why notified, why not")
    calm(at)
    assert "long-ago" not in shown(at)
    assert not at.button(key="older").disabled
    before = following(empty_town, "notifications?limit=40")
    at = pages.open("alerts", view="Why notified, why not", before=before)
    calm(at)
    assert "long-ago" in shown(at)
    assert "brief-029" not in shown(at)
    at.text_input(key="channel").set_value("ops").run()
    assert "before" not in at.query_params


def test_what_another_failure_explains_leads_to_it(pages: Pages, empty_town: Town) -> None:
    """A suppressed alert offers no acknowledgement, but the target that explains it, on the
    timeline and on the overview; the card counts it apart, and its names say how many more."""
    alerting = empty_town.stack.alerting
    empty_town.do(eventually(lambda: alerting.engine.muting.settled))
    for n in range(4):
        empty_town.stack.add(f"web-{n}", "container", "docker", "docker-health", depends_on=("db",))
    down("db", empty_town)
    for n in range(4):
        down(f"web-{n}", empty_town)
    states = [alert.state for alert in alerting.active()]
    assert sorted(states) == ["firing", *["suppressed"] * 4]
    pages.point(empty_town)
    for page in ("alerts", "overview"):
        at = pages.open(page)
        calm(at)
        offered = [str(button.key) for button in at.button if "ack-" in str(button.key)]
        assert len(offered) == 1
        links = [link.proto.label for link in at.get("page_link")]
        assert links.count("db") >= 4
    cards = dict(zip((m.label for m in at.metric), at.caption, strict=False))
    values = [m.value for m in at.metric]
    assert values[2:4] == ["5", "1"], cards
    text = shown(at)
    assert "4 suppressed" in text
    assert "db, web-0 and 3 more" in text


def test_what_tocsin_cannot_see_stands_on_top(pages: Pages, empty_town: Town) -> None:
    """The engine is gone, and no container known: no "0 / 0", but what is not seen, and why, before
    all else; once all is well nothing of that is left."""
    pages.point(empty_town)
    up("api", empty_town)
    assert "degraded or failed" not in shown(pages.open())
    before = empty_town.stack.parts
    gone = ComponentHealth(status=Health.FAILED, message="the engine does not answer")
    empty_town.stack.parts = {**before, "source docker": gone}
    empty_town.put("site", Result.up("200"), "site")
    at = pages.open()
    calm(at)
    text = shown(at)
    assert text.index("the engine does not answer") < text.index("Running")
    empty_town.stack.parts = before
    assert "degraded or failed" not in shown(pages.open())
