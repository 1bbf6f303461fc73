"""A real Chromium, and what it must never do on our pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    Page,
    Playwright,
    ProxySettings,
    expect,
    sync_playwright,
)

from tests.conftest import REQUIRE_REAL, need
from tests.dashboard.own_network import own_network

ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa"], "resultTypes": ["violations"]}
"""What axe looks at, and tells."""

PATIENCE = 20_000
"""Milliseconds; a generous limit to what comes true soon."""


def launch(playwright: Playwright) -> Browser:
    """Chromium with a profile of its own."""
    expect.set_options(timeout=PATIENCE)
    return playwright.chromium.launch(executable_path=need("chromium"), args=ARGS)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium where nobody disturbs it: in a network of its own, from which it reaches loopback
    addresses and nothing else."""
    program = need("chromium")
    with own_network(program) as network, sync_playwright() as playwright:
        if network is None:
            assert not REQUIRE_REAL, "a network namespace of its own is required here"
            made = launch(playwright)
        else:
            # "<-loopback>" sends what is on this machine through the proxy, too.
            proxy: ProxySettings = {"server": network.proxy, "bypass": "<-loopback>"}
            expect.set_options(timeout=PATIENCE)
            made = playwright.chromium.launch(
                executable_path=network.program, args=ARGS, proxy=proxy
            )
        yield made
        made.close()


class Watch:
    """Collects what a page complains about, and whom it asks."""

    def __init__(self, page: Page) -> None:
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname or ""))
        page.on("dialog", self._dialog)

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(f"console: {message.text} {message.location}")

    def _dialog(self, dialog: Any) -> None:
        self.complaints.append(f"a script ran: {dialog.message}")
        dialog.dismiss()


@contextmanager
def visit(browser: Browser, **options: Any) -> Iterator[tuple[Page, Watch]]:
    """A new reader's page; fails where it complained, ran a stranger's script, or asked another
    host."""
    context = browser.new_context(
        viewport=options.pop("viewport", {"width": 1280, "height": 900}), **options
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    watch = Watch(page)
    yield page, watch
    page.close()
    context.close()
    assert watch.complaints == [], watch.complaints
    assert watch.hosts <= {"127.0.0.1", ""}, watch.hosts


def settled(page: Page) -> None:
    """Wait until the script has run and its style is in force."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    page.wait_for_function(
        "[...document.styleSheets].some(s => s.ownerNode?.textContent?.includes('.tocsin-bar'))"
    )
    expect(page.locator('[data-testid="stMain"]')).to_be_visible()


def card(page: Page, name: str, tone: str = "") -> Any:
    """The card of a target: of any tone, or of one."""
    slug = "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in name)
    return page.locator(f'[class*="st-key-tone-{tone}"][class*="-{slug} "]')


def expect_tone(page: Page, name: str, tone: str) -> None:
    """Wait until a target's card has a tone, and no card of another is left."""
    expect(card(page, name, tone + "-")).to_be_visible()
    expect(card(page, name)).to_have_count(1)


def serious(page: Page) -> list[str]:
    """Serious and critical violations that axe finds in our own content: Streamlit's frame around
    it (its header, its menus) is not ours."""
    results = Axe().run(page, context={"include": [['[data-testid="stMain"]']]}, options=RULES)
    return [
        f"{violation['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:200]}"
        for violation in results.response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
