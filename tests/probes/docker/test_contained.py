"""Nothing that belongs to one container costs another one anything."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.test_inventory import Room as Core
from tests.probes.docker.lab import IMAGE, SLEEP, Lab, docker, newest, reached, watching
from tests.probes.docker.proxy import before_the_engine
from tocsin import Reason, Result, Status
from tocsin.core.encoding import encode
from tocsin.core.shapes.results import fit_result
from tocsin.plugins.probes.docker_health.addresses import NOT_NOW, Addresses, Place
from tocsin.plugins.probes.docker_health.engine import Engine
from tocsin.plugins.probes.docker_health.facts import IMAGE_LABELS, container_of
from tocsin.plugins.probes.docker_health.inspecting import Happened, by_end, by_list
from tocsin.plugins.probes.docker_health.labels import read_labels
from tocsin.plugins.probes.docker_health.reasons import Heard
from tocsin.plugins.probes.docker_health.registry import Registry
from tocsin.plugins.probes.docker_health.source import DockerSource
from tocsin.plugins.probes.docker_health.telling import Teller
from tocsin.testing import RecordingSink, SettableClock

DEEP = "[" * 3000 + "]" * 3000
HOSTILE = {
    "tocsin.expected.memory_bytes": "9" * 400,
    "tocsin.expected.memory_percent": "nan",
    "tocsin.expected.cpu_percent": "-1",
    "tocsin.expected.network_rx_bytes": "1e999",
    "tocsin.expected.uptime_seconds": "9" * 5000,
    "tocsin.expected." + "x" * 5000: "1",
    "tocsin.expected.": "1",
    "tocsin.check.a.b": DEEP,
    "tocsin.check.deep.probe": DEEP,
    "tocsin.check.hex.probe": "http",
    "tocsin.check.hex.interval": "0x" + "f" * 900,
    "tocsin.check.date.probe": "9999-12-31T23:59:59Z",
    "tocsin.check.nan.probe": "tcp",
    "tocsin.check.nan.timeout": "nan",
    "tocsin.check.": "x",
    "tocsin.check.x": "x",
    "tocsin.check." + "y" * 5000 + ".probe": "tcp",
    "tocsin.check.docker.probe": "heartbeat",
    "tocsin.check.labels.probe": "heartbeat",
    "tocsin.http": "http://[",
    "tocsin.tcp": "x:" + "9" * 5000,
    "tocsin.depends_on": "a/b," + "d," * 5000 + "e" * 5000,
    "tocsin.critical": "perhaps",
    "tocsin.enable": "perhaps",
    "tocsin.name": "n" * 5000,
    "big": "b" * 20_000,
}
"""Labels of which each is wrong in a way of its own."""


def read(labels: dict[str, str]) -> Any:
    document = {"Id": "1" * 64, "Name": "/evil", "Config": {"Labels": labels}, IMAGE_LABELS: {}}
    return read_labels("evil", document, Registry(), Place(None, NOT_NOW), "")


@pytest.mark.parametrize("label", HOSTILE)
def test_a_label_that_cannot_be_understood_is_named(label: str) -> None:
    """Whatever it says, it ends nothing; it asks for a check, which the core judges, or is named as
    refused, or is one of other programs, cut to a length."""
    asked = read({label: HOSTILE[label]})
    named = [text for text in asked.claim.refused if label[:40] in text]
    assert asked.checks or named or asked.claim.name or label == "big"
    assert all(math.isfinite(n) and n >= 0 for n in asked.target.expected.values())
    assert len(json.dumps(asked.target.labels)) < 1000


async def test_all_hostile_labels_at_once_come_to_a_target(
    tmp_path: Path, clock: SettableClock
) -> None:
    """The core takes what they come to: a target with what is sound, and a check for each one that
    was asked for, which is unknown and says why; the rest is told by one more, in bounds."""
    room = Core(tmp_path, clock)
    asked = read({**HOSTILE, "tocsin.check.good.probe": "echo", "tocsin.expected.x": "1"})
    room.inventory.discovered("docker", asked.target, asked.checks, asked.claim)
    state = room.state.targets["evil"]
    assert state.target.expected == {"x": 1}
    assert state.checks["good"].broken is None
    broken = {name: check.broken for name, check in state.checks.items() if check.broken}
    assert {"a", "deep", "hex", "date", "nan", "http", "tcp", "labels"} <= broken.keys()
    assert all(reason and reason.isprintable() and len(reason) < 2000 for reason in broken.values())
    encode([check.last for check in state.checks.values()])
    room.inventory.checks.close()


_TEXT = st.text(max_size=40)
_LABELS = st.dictionaries(
    st.one_of(
        _TEXT,
        st.sampled_from(sorted(HOSTILE)),
        st.builds("tocsin.check.{}.{}".format, _TEXT, st.sampled_from(["probe", "interval", "x"])),
        st.builds("tocsin.expected.{}".format, _TEXT),
    ),
    st.one_of(
        _TEXT,
        st.sampled_from(["echo", "http", "tcp", "heartbeat", DEEP, "9" * 5000, "1_0", "inf", "[1"]),
        st.floats().map(str),
        st.integers().map(str),
    ),
    max_size=12,
)


UNASKED = Engine(DockerSource().client)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(labels=_LABELS)
def test_any_labels_come_to_a_target(labels: dict[str, str]) -> None:
    """No labels whatever raise anything; numbers are finite, and what they come to is JSON."""
    asked = read(labels)
    assert asked.target.name == "evil"
    assert all(math.isfinite(number) for number in asked.target.expected.values())
    encode([asked.target, asked.checks, asked.claim])


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXT, inner, max_size=3)),
    max_leaves=6,
)
_PARTS = ("Config", "State", "HostConfig", "NetworkSettings", "Name", "Created", "RestartCount")


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(event=st.one_of(_JSON, st.fixed_dictionaries(
    {"Action": _JSON, "Actor": st.one_of(_JSON, st.fixed_dictionaries(
        {"ID": _JSON, "Attributes": _JSON})), "timeNano": _JSON})))  # fmt: skip
def test_any_event_is_one_or_none(event: Any) -> None:
    """Whatever comes in the stream of events is an event of a container, or passed over."""
    happened = Happened.of(event)
    assert happened is None or (happened.container and happened.nano >= 0)


@pytest.mark.parametrize("code", ["9" * 300, "-1", "\u0663", "1_0", " 7", "", "x"])
def test_a_label_in_place_of_an_exit_code_is_none(code: str) -> None:
    """A label of the same name takes the place of the exit code in an event: what cannot be one is
    not taken for it."""
    event = {"Action": "die", "Actor": {"ID": "1", "Attributes": {"exitCode": code}}}
    happened = Happened.of(event)
    assert happened is not None
    assert by_end({"Id": "1"}, happened.attributes)["State"]["ExitCode"] == 0


def test_a_state_that_nobody_knows_is_not_down() -> None:
    """A document without a state, or with one that tocsin does not know, says nothing of an end."""
    states: tuple[Any, ...] = (None, [], {}, {"Status": "levitating"}, {"Status": 5}, "running")
    for state in states:
        facts = container_of({"Id": "1", "State": state}, Heard())
        assert facts.reason is Reason.UNSEEN


@pytest.mark.docker
@pytest.mark.parametrize("before", [True, False], ids=["before tocsin", "after it"])
async def test_one_container_s_labels_blind_nobody(lab: Lab, before: bool) -> None:
    """Containers with hostile labels, there at the start or later, are watched like all others, and
    the kill of another one is seen, and its coming back, and a new one."""
    lethal = ("tocsin.expected.memory_bytes", "tocsin.check.a.b", "tocsin.tcp")
    all_labels = [HOSTILE, *({label: HOSTILE[label]} for label in lethal)]
    names = [lab.name(f"evil{n}") for n in range(len(all_labels))]

    def start() -> None:
        for name, labels in zip(names, all_labels, strict=True):
            options = [part for key, text in labels.items() for part in ("-l", f"{key}={text}")]
            docker("run", "-d", "--name", name, "--network=none", *options, IMAGE, *SLEEP)

    if before:
        start()
    docker("run", "-d", "--name", lab.name("good"), "--network=none", IMAGE, *SLEEP)
    async with watching(lab, reconcile=1) as (_, sink):
        if not before:
            await asyncio.to_thread(start)
        for name in (*names, lab.name("good")):
            await reached(sink, name, Reason.RUNNING)
        seen = len(sink.inventories)
        await asyncio.to_thread(docker, "kill", lab.name("good"))
        assert (await reached(sink, lab.name("good"), Reason.STOPPED)).status is Status.DOWN
        await sink.until(lambda: len(sink.inventories) > seen + 1)
        docker("run", "-d", "--name", lab.name("new"), "--network=none", IMAGE, *SLEEP)
        await reached(sink, lab.name("new"), Reason.RUNNING)
        assert sink.troubles == []


def _is(document: Any) -> Callable[[Any], Awaitable[bytes]]:
    async def answer(_: Any) -> bytes:
        body = (document if isinstance(document, str) else json.dumps(document)).encode()
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    return answer


WRONG: list[Any] = [
    None, [], "running", 5, {}, DEEP, '{"State": ', '{"RestartCount": 1e400}',
    {"Config": None, "State": None}, {"Config": [], "State": [], "HostConfig": 5},
    {"Config": {"Labels": ["a"]}, "State": {"Status": ["x"]}},
    {"Name": 5, "Created": {}, "RestartCount": "many", "State": {"Status": "running", "Pid": "x"}},
    {"State": {"Status": "exited", "ExitCode": "x", "FinishedAt": "2026-99-99T99:99:99Z"}},
    {"State": {"Status": "running", "StartedAt": "9999-12-31T23:59:59-23:59",
               "Health": {"Status": 5, "Log": {"a": 1}}}},
    {"State": {"Status": "running"}, "NetworkSettings": {"Networks": [1], "Ports": {"1": "x"}},
     "HostConfig": {"NetworkMode": ["container:x"], "Memory": "much", "RestartPolicy": "x"}},
]  # fmt: skip


@pytest.mark.docker
async def test_what_is_said_of_one_container_costs_no_other_one_anything(
    lab: Lab, tmp_path: Path
) -> None:
    """The engine's answers about some containers have shapes that nobody expects, in inspecting
    them and in their statistics: each is a target, and none down but one that is said to have
    exited; a kill of another one is seen, and its coming back."""
    names, good = [lab.name(f"evil{n}") for n in range(len(WRONG))], lab.name("good")
    for each in (*names, good):
        docker("run", "-d", "--name", each, "--network=none", IMAGE, *SLEEP)
    async with before_the_engine(tmp_path) as proxy:
        for name, document in zip(names, WRONG, strict=True):
            number = docker("inspect", "-f", "{{.Id}}", name)
            proxy.answer(rf"/containers/{number}/(json|stats)", _is(document))
        async with watching(lab, host=proxy.host, reconcile=1) as (_, sink):
            await reached(sink, good, Reason.RUNNING)
            await sink.until(lambda: len(sink.inventories) > 1)
            for name, document in zip(names, WRONG, strict=True):
                ended = "exited" in str(document)
                assert {r.status for r in sink.results[name]} <= {
                    Status.DOWN if ended else Status.UNKNOWN, Status.UP,
                }, document  # fmt: skip
            await asyncio.to_thread(docker, "kill", good)
            await reached(sink, good, Reason.STOPPED)
            await asyncio.to_thread(docker, "start", good)
            await sink.until(lambda: newest(sink, good).status is Status.UP)
            assert sink.troubles == []


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(document=st.dictionaries(st.sampled_from(_PARTS), _JSON), item=st.dictionaries(
    st.sampled_from(["Created", "Names", "Labels", "Image", "State"]), _JSON))  # fmt: skip
def test_any_document_is_told(document: dict[str, Any], item: dict[str, Any]) -> None:
    """Whatever a document says in place of what is expected, the container is told in some way, and
    what is told is JSON."""
    sink, registry = RecordingSink(), Registry()
    teller = Teller("docker", sink, registry, Addresses("unix:///x"), UNASKED)
    slot, known = registry.put({**document, "Id": "1" * 64}, 0.0)
    teller.discover(slot)
    teller.tell(slot)
    teller.tell_removed(slot, known)
    assert isinstance(newest(sink, slot.target), Result)
    for result in sink.results[slot.target]:
        assert fit_result(result)[1] is None  # else the plugin would be blamed
    encode([sink.results, by_list({**item, "Id": "1"})])


@pytest.mark.parametrize("port", ["\ud800", "\x1b[2J8080/tcp", "", "0." + "3" * 5000])
def test_ports_of_odd_names_are_shown_as_far_as_they_can_be(port: str) -> None:
    """Nobody blames the source for what an engine says of one container."""
    bound = {"8000/tcp": [{"HostPort": "8003"}], port: [{"HostPort": port}, None]}
    document = {"State": {"Status": "running"}, "NetworkSettings": {"Ports": bound}}
    facts = container_of(document, Heard())
    assert "8003:8000/tcp" in facts.ports
    assert fit_result(Result.up("running", container=facts))[1] is None
