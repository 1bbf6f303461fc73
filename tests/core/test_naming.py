"""What a target is called: labels take no name, no dependency and no beats that are another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

import tocsin
from tests.core.test_inventory import DOCKER, Room, check, facts
from tocsin.core.checks.intake import Intake
from tocsin.core.checks.source_sink import SourceSink
from tocsin.core.config.settings import CheckSettings, TargetSettings
from tocsin.core.contracts.model import Event, Heartbeat, Result, Status, Target
from tocsin.core.contracts.source import Claim
from tocsin.core.state import TargetState
from tocsin.plugins.probes import heartbeat
from tocsin.plugins.probes.heartbeat import HeartbeatProbe
from tocsin.testing import SettableClock

NAS = evolve(DOCKER, name="nas")


class Names(Room):
    """A room in which containers have labels."""

    def __init__(self, directory: Path, clock: SettableClock) -> None:
        super().__init__(directory, clock)
        self.settings = evolve(self.settings, sources={"docker": DOCKER, "nas": NAS})
        self.plugins.add("beats", lambda: heartbeat, "tests", "1")
        self.isolation.inline |= {"beats"}
        self.inventory.apply(self.settings)

    def sink(self, source: str = "docker") -> SourceSink:
        intake = Intake(asyncio.get_running_loop(), lambda _: None, lambda: None)
        return SourceSink(
            source, self.inventory, self.clock, intake,
            lambda: None, lambda _: None,
        )  # fmt: skip

    def see(
        self,
        own: str,
        name: str | None = None,
        *,
        result: Result | None = None,
        source: str = "docker",
        depends_on: tuple[str, ...] = (),
        tables: dict[str, Any] | None = None,
        **identity: str,
    ) -> None:
        """A source sees a container, whose label asks for a name."""
        sink = self.sink(source)
        target = Target(name=own, kind="container", depends_on=depends_on)
        claim = tocsin.Claim(
            name=name, identity={"name": own, **identity}, depends_on=bool(depends_on)
        )
        sink.discovered(target, tables, claim)
        sink.observed(own, result or Result.up(f"{own} runs", container=facts()))

    def of(self, name: str) -> TargetState:
        return self.state.targets[name]

    def refused(self, name: str) -> str:
        """What is told of labels that are not heeded."""
        told = self.of(name).checks["labels"]
        assert told.status is Status.UNKNOWN
        assert told.broken
        return self.of(name).checks["labels"].last.result.message  # type: ignore[union-attr]


@pytest.fixture
async def room(tmp_path: Path, clock: SettableClock) -> AsyncIterator[Names]:
    made = Names(tmp_path, clock)
    await made.executor.journal.start()
    yield made
    made.inventory.checks.close()
    await made.executor.journal.stop()


async def test_a_label_gives_a_container_a_name_of_its_own(room: Names) -> None:
    """A name that nobody has is granted: results, events, inventories and actions find the target
    by it, and its source goes on by the container's own."""
    room.see("shop-web-1", "Web shop")
    assert set(room.state.targets) == {"Web shop"}
    assert room.of("Web shop").message == "shop-web-1 runs"
    assert "labels" not in room.of("Web shop").checks
    room.sink().happened(
        Event(target="shop-web-1", source="docker", action="die", at=datetime.now(UTC))
    )
    assert room.executor.happenings[0].target == "Web shop"
    assert room.inventory.own_name("docker", "Web shop") == "shop-web-1"
    room.sink().synced(["shop-web-1"])
    assert set(room.state.targets) == {"Web shop"}
    room.sink().retired("shop-web-1", "removed on purpose")
    assert not room.state.targets


async def test_a_container_is_called_like_its_service_where_that_is_declared(room: Names) -> None:
    """By the file, as a target or as what one depends on; not where its own name is declared, nor
    once the service is a target of its own. Nothing is missing meanwhile."""
    sink, also = room.sink(), tocsin.Claim(also=("api", "shop-api"))
    room.declare(TargetSettings(name="api", critical=True))
    sink.discovered(Target(name="shop-api-1", kind="container"), None, also)
    sink.observed("shop-api-1", Result.up("one runs", container=facts()))
    sink.synced(["shop-api-1"])
    assert set(room.state.targets) == {"api"}
    assert (room.of("api").message, room.of("api").target.critical) == ("one runs", True)
    service = Target(name="api", kind="replicated-service")
    sink.discovered(service, None)
    sink.observed("api", Result.up("all 2 replicas run"))
    instance = Target(name="shop-api-1", kind="container", depends_on=("api",), service="api")
    sink.discovered(instance, None)
    sink.synced(["shop-api-1", "api"])
    assert set(room.state.targets) == {"api", "shop-api-1"}
    assert room.of("api").message == "all 2 replicas run"
    assert room.of("shop-api-1").message == "one runs"
    assert "missing" not in " ".join(seen.result.message for seen in room.seen)
    room.declare(TargetSettings(name="web", depends_on=("db",)))
    sink.discovered(Target(name="shop-db-1", kind="container"), None, tocsin.Claim(also=("db",)))
    assert "db" in room.state.targets
    room.declare(TargetSettings(name="shop-db-1"))
    assert {"shop-db-1"} == {name for name in room.state.targets if "db" in name}


async def test_of_two_services_of_one_name_none_is_meant_by_it(room: Names) -> None:
    """Whichever is seen first; and one that the declared target does not match never is."""
    sink = room.sink()
    room.declare(TargetSettings(name="db"))
    for project in ("shop", "lab"):
        also = tocsin.Claim(also=("db", f"{project}-db"))
        sink.discovered(Target(name=f"{project}-db-1", kind="container"), None, also)
    assert {"shop-db-1", "lab-db-1"} <= set(room.state.targets)
    sink.retired("lab-db-1", "removed on purpose")
    assert {"db"} == set(room.state.targets)
    sink.discovered(Target(name="lab-db-1", kind="container"), None, also)
    assert {"db", "shop-db-1", "lab-db-1"} == set(room.state.targets)
    # One is called so itself, and goes: whom the name means then is well, and not missing.
    sink.discovered(Target(name="db", kind="container"), None, tocsin.Claim())
    sink.retired("shop-db-1", "removed on purpose")
    sink.observed("lab-db-1", tocsin.Result.up("running"))
    sink.retired("db", "removed on purpose")
    assert room.state.targets["db"].message == "running"
    shop = tocsin.Claim(also=("db", "shop-db"))
    sink.discovered(Target(name="shop-db-1", kind="container"), None, shop)
    room.declare(TargetSettings(name="lab-db"))
    assert {"shop-db-1", "lab-db"} == set(room.state.targets)
    room.declare(TargetSettings(name="api", match={"image": "shop/*"}))
    for name, image in (("lab-api-1", "evil/x"), ("shop-api-1", "shop/api")):
        also = tocsin.Claim(also=("api",), identity={"image": image})
        sink.discovered(Target(name=name, kind="container"), None, also)
    assert "lab-api-1" in room.state.targets
    for name in list(room.state.targets):
        sink.retired(name, "removed on purpose")
    assert not room.inventory._names._also


@pytest.mark.parametrize(
    "asked",
    ["pay", "PAY", "ｐａｙ", "host", "db", "other", "Other", "web@nas", "pay@nas", "a/b",
     "pay\u200b", "we\u202eb", "\ud800", "a\x00b", "n" * 101, "web\nBcc: x", "n" * 1_000_000],
)  # fmt: skip
async def test_a_label_takes_no_name_of_others(room: Names, asked: str) -> None:
    """Names that the configuration declares, has by itself or depends on, that another container
    has, that are as good as one of these to look at, or that no target can have, are not granted:
    the container goes by its own, and the refusal is told with the label."""
    room.declare(
        TargetSettings(name="pay", critical=True, depends_on=("db",), checks={"echo": check()}),
        TargetSettings(name="host", automatic=True, checks={"disk": check("disk")}),
    )
    room.see("other")
    room.see("evil", asked)
    assert set(room.state.targets) == {"pay", "host", "other", "evil"}
    assert set(room.of("pay").checks) == {"echo"}
    assert room.of("other").message == "other runs"
    told = room.refused("evil")
    assert told.startswith("the label tocsin.name asks for '")
    assert len(told) < 500
    assert told.isprintable()


async def test_a_missing_target_is_not_made_up_by_a_label(room: Names) -> None:
    """A declared container that is not there stays missing, whoever asks to be called so."""
    room.declare(TargetSettings(name="pay", kind="container"))
    room.see("evil", "pay")
    room.sink().synced(["evil"])
    assert (room.status("pay"), room.status("evil", "docker")) == (Status.DOWN, Status.UP)
    assert room.of("pay").message.startswith("missing")


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({"name": "shop-*"}, True), ({"image": "pay:*"}, True),
        ({"project": "shop", "service": "pay"}, True),
        ({"name": "shop-*", "image": "other"}, False), ({"service": "web"}, False), ({}, False),
    ],
)  # fmt: skip
async def test_a_declared_target_accepts_by_match(
    room: Names, match: dict[str, str], fits: bool
) -> None:
    """Where all patterns fit, the container is the declared target, its dependencies too."""
    room.declare(TargetSettings(name="pay", kind="container", match=match))
    identity: dict[str, Any] = {"image": "pay:1", "project": "shop", "service": "pay"}
    room.see("shop-pay-1", "pay", depends_on=("db",), **identity)
    room.sink().synced(["shop-pay-1"])
    assert ("shop-pay-1" not in room.state.targets) is fits
    assert room.status("pay") is (Status.UP if fits else Status.DOWN)
    assert room.of("pay").target.depends_on == (("db",) if fits else ())


async def test_a_name_that_an_image_asks_for_has_to_be_accepted(room: Names) -> None:
    """Who built an image calls no target: neither by a free name nor by one that others depend on;
    ``match`` accepts it."""
    asks = tocsin.Claim(name="db", by_image=True, identity={"image": "db:1"})
    room.see("web", depends_on=("db",))
    room.sink().discovered(Target(name="evil", kind="container"), None, asks)
    assert "seems to come with the image" in room.refused("evil")
    room.declare(TargetSettings(name="db", kind="container", match={"image": "db:*"}))
    assert set(room.state.targets) == {"web", "db"}


async def test_a_container_of_that_name_is_the_declared_target(room: Names) -> None:
    """What a source itself calls by the name of a declared target is that target."""
    room.declare(TargetSettings(name="pay", kind="container", critical=True))
    room.see("pay")
    assert set(room.state.targets) == {"pay"}
    assert room.status("pay") is Status.UP
    assert "labels" not in room.of("pay").checks


async def test_labels_add_no_dependency_to_what_is_declared(room: Names) -> None:
    """tocsin.depends_on counts for targets of the container's own only: a declared one has what the
    configuration says, or nothing, and that is told."""
    room.declare(TargetSettings(name="pay", critical=True), TargetSettings(name="a", depends_on=()))
    room.see("pay", depends_on=("evil",))
    room.see("a", depends_on=("evil",))
    room.see("free", depends_on=("evil", "free"))
    assert room.of("pay").target.depends_on == room.of("a").target.depends_on == ()
    assert room.of("free").target.depends_on == ("evil",)
    assert "tocsin.depends_on" in room.refused("pay")
    assert "labels" not in room.of("a").checks  # the configuration has its word


async def test_the_real_one_gets_its_name_back(room: Names) -> None:
    """Who had the name first by a label makes way for the container that is really called so, with
    all that was seen of it; nothing of it stays under the name."""
    room.see("evil", "pay", result=Result.down("evil is down", container=facts()),
             tables={"x": {"probe": "echo", "say": "up"}})  # fmt: skip
    assert room.status("pay", "docker") is Status.DOWN
    room.see("pay")
    assert set(room.state.targets) == {"pay", "evil"}
    assert (room.status("pay"), set(room.of("pay").checks)) == (Status.UP, {"docker"})
    assert room.of("evil").checks["docker"].status is Status.DOWN
    assert "x" in room.of("evil").checks
    assert "which is the name of another target" in room.refused("evil")
    room.sink().retired("pay", "removed on purpose")
    room.see("evil", "pay")  # as each inventory tells it again
    assert set(room.state.targets) == {"pay"}


async def test_a_reload_that_declares_a_name_takes_it_back(room: Names) -> None:
    """At once: the container goes by its own name, and the declared target is missing; a reload
    that accepts it, or no longer declares the name, gives it back."""
    room.see("evil", "pay")
    assert set(room.state.targets) == {"pay"}
    declared = TargetSettings(name="pay", kind="container")
    room.declare(declared)
    assert (room.status("pay"), room.status("evil", "docker")) == (Status.DOWN, Status.UP)
    room.declare(evolve(declared, match={"name": "evil"}))
    assert set(room.state.targets) == {"pay"}
    assert room.status("pay") is Status.UP
    room.declare()
    assert set(room.state.targets) == {"pay"}


async def test_two_sources_hide_nothing_of_each_other(room: Names) -> None:
    """Two sources that see a target of one name: the first has it, the other one's is shown under
    a name of its own."""
    room.see("ship")
    room.see("ship", source="nas", result=Result.down("sunk", container=facts()))
    assert room.of("ship").message == "ship runs"
    assert room.of("ship@nas").checks["nas"].status is Status.DOWN


async def test_dependencies_follow_a_name(room: Names) -> None:
    """Who depends on a container by its own name depends on it by the name that a label gives."""
    room.see("web", depends_on=("shop-db-1",))
    room.see("shop-db-1", "database")
    assert room.of("web").target.depends_on == ("database",)
    room.see("shop-db-1")
    assert room.of("web").target.depends_on == ("shop-db-1",)


async def test_what_cannot_be_taken_in_is_told_and_costs_nobody_else_anything(room: Names) -> None:
    """A discovery of which a part is wrong leaves a target that is watched for what is left of it,
    and says why; the source is told nothing, and others are seen."""
    sink = room.sink()
    wrong: Any = {"x": 5, "y": {"probe": ["http"]}, "z": {"probe": "echo", "interval": 0x1 << 9999}}
    sink.discovered(Target(name="evil", kind="container", depends_on=5), wrong)  # type: ignore[arg-type]
    sink.discovered(Target(name="odd", kind="container"), wrong)
    sink.discovered(Target(name="fine", kind="container"))
    assert set(room.state.targets) == {"evil", "odd", "fine"}
    assert "depends_on 5" in room.refused("evil")
    assert {c.name for c in room.of("odd").checks.values() if c.broken} == {"x", "y", "z"}


async def test_wrong_labels_of_a_check_are_a_check_that_says_so(room: Names) -> None:
    """A check that cannot be understood is unknown, with the label and the reason; one that has the
    name of the source, of the check of refusals, or no good name, takes nobody's place."""
    good = {"probe": "echo"}
    tables: dict[str, Any] = {
        "a": {"probe": "nope"}, "b": {"probe": "echo", "say": 5}, "docker": good, "labels": good,
        "c/d": good, "e": {"probe": "echo", "enabled": False}, "f": good,
    }  # fmt: skip
    room.see("web", tables=tables)
    assert set(room.of("web").checks) == {"docker", "a", "b", "f", "labels"}
    assert room.of("web").checks["docker"].status is Status.UP
    assert "tocsin.check.a.probe" in (room.of("web").checks["a"].broken or "")
    assert "tocsin.check.b.say" in (room.of("web").checks["b"].broken or "")
    for name in ("docker", "labels", "c/d"):
        assert f"tocsin.check.{name}" in room.refused("web")


# Heartbeats


def beats(name: str = "beat", key: str | None = None, **options: Any) -> CheckSettings:
    return CheckSettings(
        name=name, probe_name="heartbeat", plugin="beats", probe=HeartbeatProbe(key=key, **options),
        broken=None, options={}, interval=30.0, timeout=10.0, retries=0,
    )  # fmt: skip


def beat(room: Names, key: str) -> str:
    return room.inventory.checks.beat(key, Heartbeat(at=room.clock.now()))


async def test_labels_set_no_key_of_a_heartbeat(room: Names) -> None:
    """A label that names a key is refused, and the configuration's job goes on."""
    room.declare(TargetSettings(name="job", checks={"beat": beats(key="nightly")}))
    room.see("evil", tables={"b": {"probe": "heartbeat", "key": "nightly"}})
    assert "tocsin.check.b.key" in (room.of("evil").checks["b"].broken or "")
    assert beat(room, "nightly") == "job/beat"


async def test_the_configuration_s_check_has_the_beats(room: Names) -> None:
    """A container that is called like a configured key waits for no beats of it, whichever was
    there first; its check is unknown and says who has them."""
    tables = {"b": {"probe": "heartbeat"}}
    room.see("nightly", tables=tables)
    assert beat(room, "nightly") == "nightly/b"
    await room.run()
    assert room.status("nightly", "b") is Status.UP
    job = TargetSettings(name="job", checks={"beat": beats(key="nightly")})
    room.declare(job)
    assert beat(room, "nightly") == "job/beat"
    await room.run()
    assert (room.status("job"), room.status("nightly", "b")) == (Status.UP, Status.UNKNOWN)
    last = room.of("nightly").checks["b"].last
    assert last is not None
    assert "go to job/beat" in last.result.message
    room.see("nightly", tables={})
    room.see("nightly", tables=tables)
    assert beat(room, "nightly") == "job/beat"


async def test_beats_are_never_lost_by_a_change(room: Names) -> None:
    """The first of two equals keeps a key, over any reload; when it goes the next one has it; a key
    is unknown only when nobody wants it any more."""
    first = TargetSettings(name="z-first", checks={"beat": beats(key="nightly")})
    second = TargetSettings(name="a-second", checks={"beat": beats(key="nightly")})
    room.declare(first, second)
    assert beat(room, "nightly") == "z-first/beat"
    changed = evolve(first, checks={"beat": beats(key="nightly", period=60)})
    room.declare(second, changed)
    assert beat(room, "nightly") == "z-first/beat"
    room.declare(second)
    assert beat(room, "nightly") == "a-second/beat"
    await room.run()
    assert room.status("a-second") is Status.UP
    room.declare(evolve(second, checks={"beat": check("beat")}))
    with pytest.raises(KeyError):
        beat(room, "nightly")
    room.declare(second)
    assert beat(room, "nightly") == "a-second/beat"


async def test_an_end_of_a_label_s_check_gives_the_beats_back(room: Names) -> None:
    """A container with a check by label takes the beats of its own name only while nobody else
    wants them, and its removal leaves them to who waits."""
    for source in ("docker", "nas"):
        room.see("job" if source == "docker" else "job@nas", source=source,
                 tables={"b": {"probe": "heartbeat"}})  # fmt: skip
    room.declare(TargetSettings(name="other", checks={"beat": beats(key="job")}))
    assert beat(room, "job") == "other/beat"
    room.declare()
    assert beat(room, "job") == "job/b"
    room.sink().retired("job", "removed on purpose")
    with pytest.raises(KeyError):
        beat(room, "job")
    assert beat(room, "job@nas") == "job@nas/b"


async def test_a_label_does_not_take_the_name_by_which_sources_are_told_apart(room: Names) -> None:
    """Of two sources that give a target the same name, the second's is called ``NAME@SOURCE``: no
    label of another target had that name before, or has it then."""
    room.see("evil", "pay@nas", source="nas")
    room.see("pay")
    room.see("pay", source="nas", result=Result.down("dead"))
    assert set(room.state.targets) == {"evil", "pay", "pay@nas"}
    assert (room.status("pay@nas"), room.status("evil", "nas")) == (Status.DOWN, Status.UP)
    assert "'@' may only stand before the name of a source" in room.refused("evil")


async def test_a_refused_label_does_not_make_its_target_unknown(room: Names) -> None:
    """A container that is up stays up: that a label of it is not heeded is told beside that."""
    sink = room.sink()
    sink.discovered(Target(name="web", kind="container"), None, Claim(refused=("no",)))
    sink.observed("web", Result.up("running"))
    assert room.refused("web") == "no"
    assert room.of("web").status is Status.UP
    assert room.of("web").message == "running"
