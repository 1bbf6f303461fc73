"""The pages in a real Chromium, over a real API: they look right, keep still and run no stranger's
script."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, expect

from tests.dashboard.browser import card, chromium, expect_tone, serious, settled, visit
from tests.dashboard.test_pages import down, up
from tests.dashboard.test_timeline import many_alerts
from tests.dashboard.town import Town, log_lines
from tests.running import free_port
from tocsin import ServiceContext
from tocsin.core.contracts.model import Result
from tocsin.dashboard import DashboardService
from tocsin.testing import RecordingContext

pytestmark = pytest.mark.browser

NAME = "<img src=x onerror=alert(1)>"
MAIN = "document.querySelector('[data-testid=stMain]')"
LINES = [
    "<script>alert('log')</script> ERROR broken",
    "[x](javascript:alert(2)) **b** \x1b[31m \u202e evil",
    "INFO ready",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with chromium() as made:
        yield made


class Served:
    """The dashboard of a town on its own port."""

    def __init__(
        self, town: Town, directory: Path, sign_in: bool = False, port: int | None = None
    ) -> None:
        self.town = town
        self.port = free_port() if port is None else port
        self.url = f"http://127.0.0.1:{self.port}"
        token = directory / "token"
        token.write_text(town.tokens["viewer"])
        place = ServiceContext(
            api_url=town.url, directory=directory, token_file=token, context=RecordingContext()
        )
        service = DashboardService(port=self.port, sign_in=sign_in)
        self._task = asyncio.run_coroutine_threadsafe(service.run(place), town.loop)

    def stop(self) -> None:
        """Take it down."""
        self._task.cancel()


@pytest.fixture(scope="module")
def served(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The trade system's dashboard."""
    made = Served(town, tmp_path_factory.mktemp("served"))
    town.reach(made.port)
    yield made
    made.stop()


def test_without_a_connection_the_page_says_that_it_is_old(
    browser: Browser, served: Served
) -> None:
    """Where the server does not answer a bar says since when, and the page is gray; once it does
    again the bar goes by itself."""
    with visit(browser) as (page, watch):
        page.goto(served.url)
        settled(page)
        page.route("**/_stcore/health", lambda route: route.abort())
        bar = page.get_by_role("alert").filter(has_text="No connection to tocsin since")
        expect(bar).to_be_visible()
        gray = "getComputedStyle(document.querySelector('[data-testid=stApp]')).filter"
        assert "grayscale" in page.evaluate(gray)
        page.unroute("**/_stcore/health")
        expect(bar).to_have_count(0)
        assert "grayscale" not in page.evaluate(gray)
        watch.complaints.clear()  # of the requests that failed


def test_the_overview_lives(browser: Browser, served: Served) -> None:
    """Cards and grid; one that goes down turns red, one that recovers green, without a reload and
    without losing what was typed or the place on the page."""
    with visit(browser, viewport={"width": 1280, "height": 500}) as (page, _):
        page.goto(served.url)
        expect(page.get_by_text("12 / 13")).to_be_visible()
        expect(page).to_have_title(re.compile("tocsin"))
        expect_tone(page, "nginx", "ok")
        search = page.get_by_placeholder("Search by name")
        search.click()
        page.keyboard.type("ngi")
        page.evaluate(f"{MAIN}.scrollTop = 200")
        down("nginx", served.town)
        expect(card(page, "nginx").get_by_text("Crashed (exit 1)")).to_be_visible()
        expect_tone(page, "nginx", "critical")
        assert search.input_value() == "ngi"
        assert page.evaluate(f"{MAIN}.scrollTop") == 200
        up("nginx", served.town)
        expect_tone(page, "nginx", "ok")


def test_filters_stand_in_the_address(browser: Browser, served: Served) -> None:
    """A filter changes the address, and the address reopened shows the same."""
    with visit(browser) as (page, _):
        page.goto(served.url)
        settled(page)
        page.get_by_placeholder("Search by name").fill("fastapi")
        page.keyboard.press("Enter")
        expect(card(page, "pgadmin")).to_have_count(0)
        page.get_by_role("button", name="OK", exact=True).click()
        page.wait_for_url(re.compile("status=OK"))
        assert "q=fastapi" in page.url
        address = page.url
    with visit(browser) as (page, _):
        page.goto(address)
        expect(card(page, "fastapi-prod")).to_be_visible()
        expect(card(page, "pgadmin")).to_have_count(0)


def test_every_view_opens_from_its_address(browser: Browser, served: Served) -> None:
    """Each page, with its filters, by its address alone, and no request to any other host."""
    with visit(browser) as (page, _):
        for address, text in (
            ("/alerts?severity=Warning", "High CPU (97 %)"),
            (
                "/alerts?view=Why+notified%2C+why+not",
                re.compile("resolved → ops|No decisions found"),
            ),
            ("/history?span=7d", "Alerts by hour of the day"),
            ("/system", "Plugins"),
            ("/target?name=vector-db&range=6h", "Health checks"),
            ("/target?name=nothing", "Not found"),
        ):
            page.goto(served.url + address)
            expect(page.get_by_text(text).first).to_be_visible()
            settled(page)
        page.goto(served.url + "/target?name=vector-db&range=6h")
        expect(page.get_by_role("radio", name="6h")).to_be_checked()


def test_mouse_and_keyboard_lead_to_a_target(browser: Browser, served: Served) -> None:
    """A click on a card, or Tab and Enter, opens the target's page; and back."""
    with visit(browser) as (page, _):
        page.goto(served.url)
        expect(card(page, "postgres")).to_be_visible()
        card(page, "postgres").get_by_role("link").click()
        page.wait_for_url(re.compile(r"/target\?name=postgres"))
        expect(page.get_by_role("heading", name="postgres")).to_be_visible()
        page.get_by_role("link", name="Overview").last.click()
        expect(card(page, "nginx")).to_be_visible()
        page.get_by_placeholder("Search by name").focus()
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent").endswith("nginx"):
                break
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"/target\?name=nginx"))
        expect(page.get_by_role("heading", name="nginx")).to_be_visible()


def test_a_thousand_targets(browser: Browser, empty_town: Town, tmp_path: Path) -> None:
    """At 1,000 targets the worst stands first, sixty cards are drawn, search finds one of the rest,
    one that goes down turns red, and nothing is wider than its window."""
    for n in range(1000):
        up(f"svc-{n:03}", empty_town)
    down("svc-777", empty_town)
    made = Served(empty_town, tmp_path)
    empty_town.reach(made.port)
    try:
        with visit(browser) as (page, _):
            page.goto(made.url)
            expect(page.get_by_text("999 / 1000")).to_be_visible()
            expect_tone(page, "svc-777", "critical")
            expect(page.locator('[class*="st-key-tone-"]')).to_have_count(60)
            down("svc-001", empty_town)
            expect_tone(page, "svc-001", "critical")
            page.get_by_placeholder("Search by name").fill("svc-99")
            page.keyboard.press("Enter")
            expect(page.locator('[class*="st-key-tone-"]')).to_have_count(10)
            page.set_viewport_size({"width": 390, "height": 844})
            settled(page)
            wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.evaluate(wide) <= 0
    finally:
        made.stop()


def test_strangers_texts_do_not_run(browser: Browser, served: Served) -> None:
    """A name, a message and log lines full of markup are shown as they are."""
    town = served.town
    down(NAME, town, "<svg onload=alert(3)> [y](javascript:alert(4))")
    town.stack.lines[NAME] = log_lines(town, LINES)
    with visit(browser) as (page, _):
        page.goto(served.url)
        expect(card(page, NAME).get_by_text(NAME)).to_be_visible()
        page.goto(served.url + "/alerts")
        expect(page.get_by_text("<svg onload=alert(3)>").first).to_be_visible()
        page.goto(served.url + "/history")
        expect(page.get_by_text(NAME).first).to_be_visible()
        page.goto(served.url + "/target?name=" + NAME.replace(" ", "%20").replace("=", "%3D"))
        log = page.get_by_label("Log lines")
        expect(log).to_contain_text("<script>alert('log')</script> ERROR broken")
        expect(log).to_contain_text("[x](javascript:alert(2)) **b** � evil")
        assert page.locator("a[href^=javascript]").count() == 0
        assert page.locator("img[src=x]").count() == 0
        settled(page)
    town.put(NAME, Result.up("ok"))


@pytest.mark.parametrize(
    ("scheme", "addresses"),
    [
        ("light", ("/", "/target?name=vector-db", "/alerts", "/history", "/system")),
        ("dark", ("/", "/target?name=vector-db")),
    ],
    ids=["light", "dark"],
)
def test_axe_finds_nothing_serious(
    browser: Browser, served: Served, scheme: str, addresses: tuple[str, ...]
) -> None:
    """No serious violation in our own content, on any page, light and dark; nothing is wider than
    a phone."""
    with visit(browser, color_scheme=scheme) as (page, _):
        for address in addresses:
            page.set_viewport_size({"width": 1280, "height": 900})
            page.goto(served.url + address)
            settled(page)
            expect(page.locator('[class*="st-key-panel-"]').first).to_be_visible()
            assert serious(page) == [], address
            page.set_viewport_size({"width": 390, "height": 844})
            settled(page)
            wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.evaluate(wide) <= 0, address


def test_signing_in_lasts(
    browser: Browser, town: Town, tmp_path: Path, served: Callable[[], str]
) -> None:
    """Where readers need their own token nothing is shown without; signed in, a reload and another
    tab go on, the token is in no page, no storage and no readable cookie; signed out in one tab,
    both ask by themselves, the one where it was typed too."""
    strict = Served(town, tmp_path, sign_in=True)
    town.reach(strict.port)
    try:
        with visit(browser) as (page, _):
            page.goto(strict.url + "/target?name=postgres")
            expect(page.get_by_text("Sign in with your own token.")).to_be_visible()
            assert page.get_by_text("busybox").count() == 0
            page.get_by_label("Token", exact=True).fill(town.tokens["operator"])
            with page.expect_response(re.compile("/tocsin/sign-in")) as answer:
                page.get_by_role("button", name="Sign in").click()
            assert answer.value.status == 204
            expect(page.get_by_text("busybox:1.36")).to_be_visible()
            other = page.context.new_page()
            other.goto(strict.url)
            expect(other.get_by_text("12 / 13").or_(other.get_by_text("12 / 14"))).to_be_visible()
            assert town.tokens["operator"] not in page.content()
            stored = page.evaluate("JSON.stringify([document.cookie, localStorage])")
            assert "tocsin_reader" not in stored
            assert town.tokens["operator"] not in stored
            other.get_by_role("button", name=re.compile("operator")).click()
            with other.expect_response(re.compile("/tocsin/sign-out")):
                other.get_by_role("button", name="Sign out").click()
            expect(other.get_by_text("Sign in with your own token.")).to_be_visible()
            expect(page.get_by_text("Sign in with your own token.")).to_be_visible()
            page.get_by_label("Token", exact=True).fill(town.tokens["operator"])
            with page.expect_response(re.compile("/tocsin/sign-in")):
                page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_text("busybox:1.36")).to_be_visible()
            page.reload()
            expect(page.get_by_text("busybox:1.36")).to_be_visible()
            page.get_by_role("button", name=re.compile("operator")).click()
            with page.expect_response(re.compile("/tocsin/sign-out")):
                page.get_by_role("button", name="Sign out").click()
            expect(page.get_by_text("Sign in with your own token.")).to_be_visible()
            other.reload()
            expect(other.get_by_text("Sign in with your own token.")).to_be_visible()
    finally:
        strict.stop()


def test_a_page_that_could_not_begin_comes_back(
    browser: Browser, empty_town: Town, tmp_path: Path
) -> None:
    """Opened while tocsin is away, by a reader whose token has to be looked at first: it says so,
    and is there, without a reload, once tocsin is."""
    up("web", empty_town)
    strict = Served(empty_town, tmp_path, sign_in=True)
    empty_town.reach(strict.port)
    try:
        with visit(browser) as (page, _):
            page.goto(strict.url)
            page.get_by_label("Token", exact=True).fill(empty_town.tokens["viewer"])
            with page.expect_response(re.compile("/tocsin/sign-in")):
                page.get_by_role("button", name="Sign in").click()
            expect(card(page, "web")).to_be_visible()
            empty_town.do(empty_town.close())
            page.reload()
            expect(page.get_by_text("tocsin cannot be reached")).to_be_visible()
            expect(card(page, "web")).to_have_count(0)
            empty_town.do(empty_town.open())
            expect(card(page, "web")).to_be_visible()
            expect(page.get_by_text("tocsin cannot be reached")).to_have_count(0)
    finally:
        strict.stop()


def test_older_alerts_and_another_filter(
    browser: Browser, empty_town: Town, tmp_path: Path
) -> None:
    """Older leads to the second page, which has an address; a filter leads back to the newest that
    fit it, and finds the one that fires below all of them."""
    many_alerts(empty_town, 56)
    made = Served(empty_town, tmp_path)
    empty_town.reach(made.port)
    try:
        with visit(browser) as (page, _):
            page.goto(made.url + "/alerts")
            expect(page.get_by_role("link", name="brief-055")).to_be_visible()
            page.get_by_role("button", name="Older").click()
            expect(page.get_by_role("link", name="long-ago")).to_be_visible()
            assert "before=" in page.url
            page.get_by_role("button", name="Resolved", exact=True).click()
            expect(page.get_by_role("link", name="brief-055")).to_be_visible()
            expect(page.get_by_role("link", name="long-ago")).to_have_count(0)
            page.get_by_role("button", name="Resolved", exact=True).click()
            page.get_by_role("button", name="Firing", exact=True).click()
            expect(page.get_by_role("link", name="long-ago")).to_be_visible()
            expect(page.locator('[class*="st-key-row-"]')).to_have_count(1)
            assert "before=" not in page.url
    finally:
        made.stop()


APP = "document.querySelector('[data-testid=stApp]').dataset"

SEEN = """
window.loadings = 0;
new MutationObserver(() => {
    if (document.querySelector('[data-testid="stSpinner"]')) window.loadings += 1;
}).observe(document, {childList: true, subtree: true});
"""


def test_a_slow_first_look_says_so_and_refreshes_are_silent(
    browser: Browser, empty_town: Town, tmp_path: Path
) -> None:
    """What takes long to load has a quiet word in its place; a refresh that takes as long as a
    request may, has none."""
    up("web", empty_town)
    made = Served(empty_town, tmp_path)
    empty_town.reach(made.port)
    try:
        with visit(browser) as (page, _):
            page.add_init_script(SEEN)
            empty_town.act(empty_town.gate.clear)
            page.goto(made.url)
            expect(page.get_by_text("Loading …")).to_be_visible()
            empty_town.act(empty_town.gate.set)
            expect(card(page, "web")).to_be_visible()
            expect(page.get_by_text("Loading …")).to_have_count(0)
            page.evaluate("window.loadings = 0")
            empty_town.act(empty_town.gate.clear)
            # More than one request may wait its ten seconds before that is said.
            away = page.get_by_text("tocsin cannot be reached")
            expect(away).to_be_visible(timeout=60_000)
            empty_town.act(empty_town.gate.set)
            expect(card(page, "web")).to_be_visible()
            assert page.evaluate("window.loadings") == 0
    finally:
        made.stop()


def test_a_page_that_lacks_a_part_of_its_program_is_loaded_again(
    browser: Browser, empty_town: Town, tmp_path: Path
) -> None:
    """The server goes while the page loads a part of Streamlit's program: without that the page
    would never ask for the next look."""
    up("web", empty_town)
    made = Served(empty_town, tmp_path)
    empty_town.reach(made.port)
    misses = iter([True])
    try:
        with visit(browser) as (page, watch):
            page.route(
                "**/BidiComponent*",
                lambda route: route.abort() if next(misses, False) else route.continue_(),
            )
            page.goto(made.url)
            expect(card(page, "web")).to_be_visible()
            up("api", empty_town)
            expect(card(page, "api")).to_be_visible(timeout=60_000)
            assert next(misses, None) is None
            watch.complaints.clear()  # of the request that failed
    finally:
        made.stop()


def test_a_part_that_never_loads_is_asked_for_once_more(
    browser: Browser, empty_town: Town, tmp_path: Path
) -> None:
    """A proxy does not let it through, say: the page is loaded again once, not over and over."""
    up("web", empty_town)
    made = Served(empty_town, tmp_path)
    empty_town.reach(made.port)
    loads: list[str] = []
    try:
        with visit(browser) as (page, watch):
            page.route("**/BidiComponent*", lambda route: route.abort())
            page.on("load", lambda _: loads.append(page.url))
            page.goto(made.url)
            with page.expect_event("load", timeout=60_000):
                pass
            expect(card(page, "web")).to_be_visible()
            for _ in range(3):
                with page.expect_response("**/_stcore/health", timeout=60_000):
                    pass
            assert len(loads) == 2
            watch.complaints.clear()  # of the requests that failed
    finally:
        made.stop()


def test_a_page_whose_server_is_killed_in_the_midst_of_a_look_comes_back(
    browser: Browser, empty_town: Town, tmp_path: Path
) -> None:
    """The look never ends, and the page does not wait for that: once another server is there it
    goes on by itself."""
    up("web", empty_town)
    made = Served(empty_town, tmp_path)
    empty_town.reach(made.port)
    try:
        with visit(browser) as (page, watch):
            page.goto(made.url)
            expect(card(page, "web")).to_be_visible()
            empty_town.act(empty_town.gate.clear)
            page.wait_for_function(f"{APP}.testScriptState === 'running'")
            for one in psutil.net_connections("tcp"):
                if one.status == psutil.CONN_LISTEN and made.port in one.laddr:
                    psutil.Process(one.pid).kill()
            page.wait_for_function(f"{APP}.testConnectionState !== 'CONNECTED'")
            empty_town.act(empty_town.gate.set)
            up("api", empty_town)
            made.stop()
            made = Served(empty_town, tmp_path, port=made.port)
            empty_town.reach(made.port)
            expect(card(page, "api")).to_be_visible(timeout=120_000)
            watch.complaints.clear()  # of the requests that failed
    finally:
        made.stop()
