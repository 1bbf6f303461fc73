"""The whole of it: `tocsin run` beside the trade system on a real engine, in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest
from attrs import define
from playwright.sync_api import Browser, Page, expect

from tests.dashboard.browser import PATIENCE, card, chromium, expect_tone, settled, visit
from tests.running import Running, free_port
from tests.tradestack import NAMES, docker, stood_up

pytestmark = [pytest.mark.docker, pytest.mark.browser]
QUICK = '\n[rules.container_down]\nfor = "1s"\n[rules.above_expected]\nenabled = false\n'


@define
class Trade:
    """A tocsin beside the trade system, and its dashboard's address."""

    running: Running
    url: str

    def child(self) -> psutil.Process | None:
        """The dashboard's process."""
        assert self.running.process is not None
        for process in psutil.Process(self.running.process.pid).children():
            with suppress(psutil.Error):  # it ends at this very moment
                if "tocsin.dashboard.serve" in process.cmdline():
                    return process
        return None


@pytest.fixture(scope="module")
def trade(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Iterator[Trade]:
    """It, with all 13 containers in order."""
    directory = tmp_path_factory.mktemp("trade")
    port = free_port()
    with stood_up() as config:
        text = config + QUICK + f"[services.dashboard]\nport = {port}\n"
        env = {"DATABASE_URL": postgres, "MONITOR_INTERVAL": "2"}
        with Running(directory, text, env, dashboard=True) as running:

            def in_order() -> bool:
                items = running.get("/api/v1/containers?limit=1000")["items"]
                mine = [item for item in items if item["name"] in NAMES]
                return len(mine) == 13 and all(item["status"] == "up" for item in mine)

            running.until(in_order, 120)
            yield Trade(running, f"http://127.0.0.1:{port}")


@pytest.fixture(scope="module")
def browser(postgres: str) -> Iterator[Browser]:
    """Chromium; begun after the database, which needs this thread without a loop."""
    with chromium() as made:
        yield made


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Token", exact=True).fill(token)
    page.get_by_role("dialog").get_by_role("button", name="Sign in").click()


def test_a_kill_is_seen_acknowledged_and_mended(trade: Trade, browser: Browser) -> None:
    """All thirteen are there and green. One that is killed turns red without a reload; its page has
    facts, curves, the end of its log and what happened; acknowledging and restarting ask for the
    reader's token first, and stand in the audit under its name; green again without a reload."""
    running = trade.running
    made = running.run("token", "create", "ann", "--role", "operator")
    token = re.search(r"tocsin_\S+", made.stdout)
    assert token
    with visit(browser) as (page, _):
        page.goto(trade.url)
        for name in sorted(NAMES):
            expect(card(page, name)).to_be_visible()
            expect_tone(page, name, "ok")
        expect(card(page, "certbot").get_by_text("Completed")).to_be_visible()
        expect(card(page, "postgres").get_by_text("CPU")).to_be_visible()

        docker("kill", "tradingview")
        expect(card(page, "tradingview").get_by_text("Stopped (exit 137)")).to_be_visible()
        expect_tone(page, "tradingview", "critical")

        card(page, "tradingview").get_by_role("link").click()
        page.wait_for_url(re.compile(r"/target\?name=tradingview"))
        expect(page.get_by_text("busybox:1.36").first).to_be_visible()
        expect(page.get_by_label("Log lines")).to_contain_text("INFO")
        settled(page)

        page.get_by_role("button", name="Acknowledge").first.click()
        sign_in(page, token[0])
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Comment (optional)").fill("on it")
        dialog.get_by_role("button", name="Acknowledge").click()
        expect(page.get_by_text("Acknowledged by ann").first).to_be_visible()

        page.get_by_role("button", name="Restart").first.click()
        dialog.get_by_role("button", name="Restart").click()
        expect(page.get_by_text(re.compile("Up .*s")).first).to_be_visible()
        page.get_by_role("link", name="Overview").first.click()
        expect(card(page, "tradingview").get_by_text(re.compile("Up"))).to_be_visible()

        # A curve takes two samples that are a while apart.
        page.goto(trade.url + "/target?name=postgres&range=1h")
        line = page.locator(".js-plotly-plot path.js-line").first
        drawn = re.compile(r"^M[\d.]+,[\d.]+L")
        expect(line).to_have_attribute("d", drawn, timeout=3 * PATIENCE)

    def rows() -> set[tuple[str, str, str]]:
        items = running.get("/api/v1/audit")["items"]
        return {(row["actor"], row["role"], row["action"]) for row in items}

    running.until(
        lambda: {("ann", "operator", "acknowledge"), ("ann", "operator", "restart")} <= rows()
    )


def test_a_dashboard_that_is_killed_comes_back(trade: Trade, browser: Browser) -> None:
    """Its supervisor starts it anew, /health is well again, and an open page goes on by itself."""
    child = trade.child()
    assert child is not None
    context = browser.new_context()
    page = context.new_page()
    page.goto(trade.url)
    expect(card(page, "nginx")).to_be_visible()
    child.kill()
    trade.running.until(lambda: (found := trade.child()) and found.pid != child.pid)
    expect(page.get_by_text(re.compile("Updated"))).to_be_visible()
    before = page.get_by_text(re.compile("^Updated")).inner_text()
    expect(page.get_by_text(re.compile("^Updated"))).not_to_have_text(before, timeout=180_000)
    part = trade.running.get("/health")["components"]["service.dashboard"]
    assert part["status"] == "ok"
    context.close()
