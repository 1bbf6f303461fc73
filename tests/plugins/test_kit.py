"""What the testing kit says of plugins that violate the contract: it names the method."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import pytest
from attrs import evolve, frozen

from tocsin import (
    ActionError,
    Container,
    Controls,
    Heartbeat,
    LogLine,
    Message,
    Notifier,
    NotifyError,
    Panel,
    PanelChart,
    PanelCurve,
    PanelFact,
    PushProbe,
    Reason,
    Receipt,
    Request,
    Result,
    Role,
    Routes,
    Target,
)
from tocsin.core.testing.history import _Sample
from tocsin.core.testing.history_answers import with_checked_answers
from tocsin.history import HistoryRuntime, HistoryUnavailable, Record, kind_of, pack, unpack
from tocsin.testing import (
    RecordingControls,
    check_notifier_conformance,
    check_panel_conformance,
    check_push_conformance,
    check_route_conformance,
)

AT = datetime(2026, 1, 15, tzinfo=UTC)

routes = Routes()


@routes.get("teams/{team}")
async def team(request: Request) -> str:
    """Name a team."""
    return request.path["team"]


@routes.get("ticks")
async def ticks(request: Request) -> AsyncIterator[str]:
    """Send events, without saying so."""
    yield "data: 1\n\n"


@routes.get("pieces")
async def pieces(request: Request) -> AsyncIterator[str]:
    """Send one JSON document piece by piece."""
    yield ""
    yield " [1,"
    yield "2]"


TEAM, TICKS, PIECES = routes.routes


async def test_a_path_with_a_variable_needs_a_request() -> None:
    """The message says what to pass, in place of a KeyError from within the handler."""
    words = r"variable 'team'.*pass request=Request\(actor=…, role=…, path=\{'team': …\}\)"
    with pytest.raises(AssertionError, match=words):
        await check_route_conformance(TEAM)
    request = Request(actor="tests", role=Role.VIEWER, path={"team": "red"})
    assert await check_route_conformance(TEAM, request) == "red"


async def test_a_stream_of_json_is_one_document() -> None:
    """Chunks of the default media type are pieces of it; events need a media type of their own."""
    assert await check_route_conformance(PIECES) == [b"", b" [1,", b"2]"]
    with pytest.raises(AssertionError, match="give another media, such as 'text/event-stream'"):
        await check_route_conformance(TICKS)


@frozen(kw_only=True)
class Silent(PushProbe):
    """Judge with a text."""

    def judge(self, target: Target, last: Heartbeat | None, silence: float) -> Result:
        return cast("Result", "fine")


def test_the_verdict_of_a_push_probe_is_named() -> None:
    """It is ``judge`` that returned the text, not ``check``."""
    with pytest.raises(AssertionError, match=r"^judge\(\) returned str, not a Result"):
        check_push_conformance(Silent())


# Panels

PANEL = Panel(
    name="queue",
    title="Queue",
    facts=(PanelFact(label="Leader", value="leader"), PanelFact(label="Image", value="image")),
    charts=(PanelChart(title="Waiting", curves=(PanelCurve(metric="waiting"),), limit="most"),),
)
BOX = Container(id="1", image="i", state="running", reason=Reason.RUNNING)
SEEN = Result.up(
    metrics={"waiting": 1, "most": 9}, attributes={"leader": "a"}, container=BOX
)  # fmt: skip


def test_a_panel_that_a_result_fills_conforms() -> None:
    """Metrics, attributes and facts of a container are found; without a result nothing is asked."""
    check_panel_conformance(PANEL)
    check_panel_conformance(PANEL, SEEN)


@pytest.mark.parametrize(
    ("panel", "result", "words"),
    [
        (PANEL, evolve(SEEN, attributes={}), "the fact 'Leader' shows 'leader', which the result"),
        (PANEL, evolve(SEEN, container=None), "the fact 'Image' shows 'image'"),
        (PANEL, evolve(SEEN, metrics={"most": 1}), "the chart 'Waiting' shows 'waiting'"),
        (PANEL, evolve(SEEN, metrics={"waiting": 1}), "shows 'most'.*it has leader|waiting"),
        (Panel(name="x", title="X"), None, "the plugin has the panel 'x' without facts, text and"),
        (cast("Panel", "x"), None, "the plugin returned a str from tocsin_panels"),
    ],
)
def test_each_violation_of_a_panel_is_named(
    panel: Panel, result: Result | None, words: str
) -> None:
    """What a panel shows has to be in the result, and it must not be empty."""
    with pytest.raises(AssertionError, match=words):
        check_panel_conformance(panel, result)


# Two-way notifiers


@frozen(kw_only=True)
class Listening(Notifier):
    """Read a log, then do what the test asks for."""

    then: str

    async def send(self, message: Message) -> Receipt:
        return Receipt()

    async def listen(self, controls: Controls) -> None:
        await controls.logs("web", 5)
        await ENDS[self.then]()


async def forever() -> None:
    await asyncio.Event().wait()


async def stubborn() -> None:
    for _ in range(30):
        try:
            await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            continue


async def over() -> None:
    return


def raising(error: Exception) -> Callable[[], Any]:
    async def fail() -> None:
        raise error

    return fail


ENDS: dict[str, Callable[[], Any]] = {
    "forever": forever, "stubborn": stubborn, "over": over,
    "refused": raising(NotifyError("no answer")), "broken": raising(KeyError("x")),
}  # fmt: skip


async def test_the_suite_of_notifiers_listens() -> None:
    """With the controls that the test gives; a provider that does not answer is no violation."""
    controls = RecordingControls(log_lines={"web": [LogLine(text="a")]})
    await check_notifier_conformance(Listening(then="forever"), controls=controls)
    await check_notifier_conformance(Listening(then="refused"), controls=controls)


@pytest.mark.parametrize(
    ("then", "words"),
    [
        ("over", r"listen\(\) returned; it has to run until it is cancelled"),
        ("broken", r"listen\(\) raised KeyError\('x'\), not a NotifyError"),
        ("stubborn", r"listen\(\) ignored its cancellation for 1 s"),
    ],
)
async def test_each_violation_of_listen_is_named(then: str, words: str) -> None:
    """It returns, raises, or goes on when it is cancelled."""
    controls = RecordingControls(log_lines={"web": []})
    with pytest.raises(AssertionError, match=words):
        await check_notifier_conformance(Listening(then=then), controls=controls)


async def test_recording_controls_answer_as_the_real_ones() -> None:
    """Alerts are in the state that the test gives them; what is done is recorded."""
    fires, waits, ended = uuid4(), uuid4(), uuid4()
    controls = RecordingControls(
        alerts={fires: "firing", waits: "pending", ended: "resolved"}, restartable={"web"},
        log_lines={"web": [LogLine(text="a"), LogLine(text="b")]},
    )  # fmt: skip
    assert await controls.acknowledge(fires, "ann") == "acknowledged by ann"
    assert await controls.silence(fires, 3600, "bob") == "silenced for 1h by bob"
    assert await controls.restart("web", "ann") == "restarted by ann"
    assert await controls.logs("web", 1) == [LogLine(text="b")]
    assert controls.done == [
        ("acknowledge", str(fires), "ann"),
        ("silence", str(fires), "bob"),
        ("restart", "web", "ann"),
    ]  # fmt: skip
    for call, words, missing in (
        (controls.acknowledge(fires, "bob"), "it is acknowledged already, by ann", False),
        (controls.acknowledge(waits, "bob"), "it does not fire yet", False),
        (controls.silence(ended, 60, "bob"), "it does not fire any more", False),
        (controls.silence(uuid4(), 60, "bob"), "there is no alert with this id", True),
        (controls.logs("db", 1), "there is no target called 'db'", True),
        (controls.restart("db", "ann"), "restarting db is not allowed", False),
    ):
        with pytest.raises(ActionError, match=words) as caught:
            await call
        assert caught.value.missing is missing
    controls.refusal = ActionError("not now")
    for refused in (controls.logs("web", 1), controls.silence(fires, 1, "ann")):
        with pytest.raises(ActionError, match="not now"):
            await refused


# Histories


class Odd:
    """Stands for a history that answers whatever the test says."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    async def state(self) -> object:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    chart = alerts = alert = state

    def plain(self, *_: object) -> object:
        return self.answer

    trends = past = plain


@pytest.mark.parametrize(
    ("method", "answer", "words"),
    [
        ("state", None, r"^state\(\) returned NoneType, where the contract has HistoryState"),
        ("alert", "x", r"^alert\(\) returned str, where the contract has AlertRecord or None"),
        ("alerts", None, r"^alerts\(\) is NoneType, where .* a list or tuple of AlertRecord"),
        ("alerts", ["x"], r"^alerts\(\) has a str, not only AlertRecord"),
        ("chart", KeyError("x"), r"^chart\(\) raised KeyError\('x'\)"),
        ("chart", HistoryUnavailable("no"), r"^chart\(\) raised HistoryUnavailable\('no'\)"),
        ("trends", None, r"^trends\(\) is not async"),
        ("nothing", None, r"^the history has no method nothing\(\)"),
    ],
)
async def test_each_wrong_answer_of_a_history_is_named(
    method: str, answer: object, words: str
) -> None:
    """In place of an AttributeError from within the suite."""
    checked = with_checked_answers(cast("HistoryRuntime", Odd(answer)))
    with pytest.raises(AssertionError, match=words):
        await getattr(checked, method)()


async def test_a_history_whose_past_is_no_iterator_is_named() -> None:
    """The message says how to write it."""
    checked = with_checked_answers(cast("HistoryRuntime", Odd([])))
    with pytest.raises(AssertionError, match=r"past\(\) returned list, not an async iterator"):
        _ = [part async for part in checked.past(AT, AT, [])]


RECORDS: list[Record] = [
    record
    for batch in _Sample(now=AT).batches()
    for record in batch.records
]  # fmt: skip


def test_every_record_survives_being_packed() -> None:
    """With its type, times, ids, facts of containers, state and everything else."""
    kinds = {kind_of(record) for record in RECORDS}
    assert kinds == {"observation", "event", "audit", "alert", "notification", "silence"}
    for record in RECORDS:
        assert unpack(pack(record)) == record


@pytest.mark.parametrize(
    "packed", [b"", b"[]", b"{}", b'{"kind":"x","record":{}}', b'{"kind":"event","record":{}}']
)
def test_what_is_no_record_is_refused(packed: bytes) -> None:
    """With a ValueError, whatever it is."""
    with pytest.raises(ValueError, match="this is no record of history"):
        unpack(packed)


def test_a_record_of_another_version_is_read() -> None:
    """A field that is not known is ignored, one that is missing has its default."""
    packed = pack(_Sample(now=AT).silence).decode()
    assert unpack(packed.replace('"comment":""', '"colour":"red"')) == unpack(packed)
