"""A refresh in a real Chromium: the reader keeps the place."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, expect

from tests.dashboard.browser import settled, visit
from tests.dashboard.test_browser import Served, browser, served
from tests.dashboard.town import log_lines, running
from tests.kept import flush
from tocsin.core.contracts.model import Result

pytestmark = pytest.mark.browser

__all__ = ["browser", "served"]
BOX = "document.querySelector('.tocsin-logs')"
SCROLLER = f"""(() => {{
  let box = {BOX};
  while (!/auto|scroll/.test(getComputedStyle(box).overflowY)) box = box.parentElement;
  return box;
}})()"""
USAGE = ".st-key-chart-panel-docker_health-usage-docker"
CHART = f"document.querySelector('{USAGE}-0 .js-plotly-plot')"
TRAFFIC = f"document.querySelector('{USAGE}-2 .js-plotly-plot')"
STEP = 10_800
"""Seconds of a point of a month's chart."""


def test_a_refresh_keeps_the_readers_place(browser: Browser, served: Served) -> None:
    """A new line comes and a new result: a log that was scrolled stays where it was, and a chart is
    the same one, with what was hidden in it hidden."""
    town = served.town
    lines = [f"INFO line {n}" for n in range(90)]
    with visit(browser) as (page, _):
        begun = datetime.now(UTC).timestamp() // STEP
        town.stack.lines["nginx"] = log_lines(town, lines)
        page.goto(served.url + "/target?name=nginx&range=30d")
        expect(page.get_by_label("Log lines")).to_contain_text("INFO line 89")
        expect(page.locator(f"{USAGE}-2 .legendtoggle").first).to_be_visible()
        settled(page)
        page.evaluate(f"{SCROLLER}.scrollTop = 333")
        assert page.evaluate(f"{SCROLLER}.clientHeight") < 440
        page.locator(f"{USAGE}-2 .legendtoggle").first.click()
        page.wait_for_function(f"{TRAFFIC}._fullData[0].visible === 'legendonly'")
        page.evaluate(f"{CHART}.tocsin = {TRAFFIC}.tocsin = 'the same'")
        town.stack.lines["nginx"] = log_lines(town, [*lines, "INFO one more"])
        town.put("nginx", Result.up("seen once more", container=running(cpu=50.0)))
        town.do(flush(town.stack.history))
        expect(page.get_by_label("Log lines")).to_contain_text("INFO one more", timeout=120_000)
        expect(page.get_by_text("seen once more")).to_be_visible(timeout=120_000)
        settled(page)
        assert page.evaluate(f"{SCROLLER}.scrollTop") == 333
        if datetime.now(UTC).timestamp() // STEP == begun:
            assert page.evaluate(f"{CHART}.tocsin") == "the same"
            assert page.evaluate(f"{TRAFFIC}.tocsin") == "the same"
            assert page.evaluate(f"{TRAFFIC}._fullData[0].visible") == "legendonly"
