"""What the containers of one engine are called, and which of them are the same target."""

from __future__ import annotations

from typing import Any

import pytest

from tocsin.plugins.probes.docker_health.addresses import Addresses, Place
from tocsin.plugins.probes.docker_health.engine import Engine
from tocsin.plugins.probes.docker_health.facts import IMAGE_LABELS, is_build_step
from tocsin.plugins.probes.docker_health.labels import read_labels
from tocsin.plugins.probes.docker_health.registry import Registry
from tocsin.plugins.probes.docker_health.source import DockerSource
from tocsin.plugins.probes.docker_health.telling import Teller
from tocsin.testing import RecordingSink

COMPOSE = {
    "com.docker.compose.project": "shop", "com.docker.compose.service": "web",
    "com.docker.compose.container-number": "1", "com.docker.compose.config-hash": "0a1b",
}  # fmt: skip


def container(number: int, name: str, state: str = "running", **more: Any) -> dict[str, Any]:
    """A part of an inspect document."""
    return {
        "Id": f"{number:064x}", "Name": f"/{name}", "State": {"Status": state},
        "Config": {"Labels": more.pop("labels", {})}, **more,
    }  # fmt: skip


def member(number: int, name: str, state: str = "running", **labels: str) -> dict[str, Any]:
    """One that Compose made."""
    image: dict[str, Any] = {IMAGE_LABELS: {}}
    return container(number, name, state, labels={**COMPOSE, **labels}, **image)


def test_a_target_is_called_like_its_container() -> None:
    """With the source behind it where that is not the usual one; whatever its labels ask for."""
    asks = container(1, "web", labels={"tocsin.name": "pay"})
    assert Registry().put(asks, 0.0)[0].target == "web"
    assert Registry("@nas").put(asks, 0.0)[0].target == "web@nas"


@pytest.mark.parametrize("name", ["", "a/b", "we\u202eb", "\ud800", "a\x00", "n" * 300, "a b"])
def test_what_no_engine_calls_a_container_is_no_name(name: str) -> None:
    """Such a one goes by a part of its id."""
    slot, _ = Registry().put({**container(1, "x"), "Name": name}, 0.0)
    assert slot.target == "0" * 12


def test_a_member_of_a_service_keeps_its_target_under_another_name() -> None:
    """Compose makes it anew under another id and name: the same target. While both run, each is
    one; the first to be there has the name."""
    registry = Registry()
    slot, _ = registry.put(member(1, "old", "exited"), 0.0)
    assert registry.put(member(2, "new"), 0.0)[0] is slot
    registry.put(member(1, "old"), 1.0)
    (other,) = registry.set_apart(slot)
    assert ([*slot.members], other.target) == ([f"{1:064x}"], "new")
    assert registry.put(member(2, "new"), 2.0)[0] is other
    assert registry.set_apart(slot) == []


def test_one_whose_image_was_not_inspected_at_first_is_a_member_later() -> None:
    """It is the same target before and after, and so is the one that takes its place."""
    registry = Registry()
    unseen = {**member(1, "shop_web_1"), IMAGE_LABELS: None}
    slot, _ = registry.put(unseen, 0.0)
    assert registry.of_service("shop", "web") == []
    assert registry.put(member(1, "shop_web_1"), 1.0)[0] is slot
    assert registry.of_service("shop", "web") == ["shop_web_1"]
    registry.drop(f"{1:064x}")
    again = {**unseen, "Id": f"{2:064x}"}
    assert registry.put(again, 2.0)[0] is slot
    assert set(registry.slots.values()) == {slot}


def test_the_labels_of_its_image_make_nothing_a_member() -> None:
    """Of none that are the image's own is a container part of a service."""
    for image in (COMPOSE, {"com.docker.compose.config-hash": "0a1b"}, None):
        registry = Registry()
        document = {**member(1, "x"), IMAGE_LABELS: image}
        assert registry.put(document, 0.0)[0].key == ("name", "x")


def test_a_renamed_container_is_another_target() -> None:
    """Also one that was set apart; the old name is free again."""
    registry = Registry()
    slot, _ = registry.put(member(1, "a"), 0.0)
    registry.put(member(2, "b"), 0.0)
    (other,) = registry.set_apart(slot)
    registry.rename(other, {**container(2, "c")})
    assert not other.members
    registry.retire(other)
    assert registry.by_target("b") is None
    found = registry.find(f"{2:064x}")
    assert found is not None
    assert found[0].target == "c"


def test_a_one_off_job_inherits_nothing_from_its_service() -> None:
    """Neither checks, nor criticality, nor a name; an image that says that it is one is not."""
    asks = {"tocsin.critical": "true", "tocsin.http": ":80/", "tocsin.name": "shop"}
    one_off = {"com.docker.compose.oneoff": "True"}

    def asked(document: dict[str, Any]) -> tuple[bool, bool, str | None]:
        found = read_labels("x", document, Registry(), Place("10.0.0.2"), "")
        return found.target.critical, bool(found.checks), found.claim.name

    assert asked(member(1, "x", **asks)) == (True, True, "shop")
    assert asked(member(1, "x", **asks, **one_off)) == (False, False, None)
    baked = {**member(1, "x", **asks, **one_off), IMAGE_LABELS: one_off}
    assert asked(baked) == (True, True, "shop")


@pytest.mark.parametrize(("one_off", "status"), [("True", "degraded"), ("False", "down")])
def test_a_one_off_job_that_fails_rings_for_nobody(one_off: str, status: str) -> None:
    """It is degraded, with its exit code, for as long as it is there."""
    registry, sink = Registry(), RecordingSink()
    document = member(1, "x", **{"com.docker.compose.oneoff": one_off})
    slot, known = registry.put(document, 0.0)
    known.started()
    document["State"] = {"Status": "exited", "ExitCode": 1}
    engine = Engine(DockerSource().client)  # nobody asks it
    Teller("docker", sink, registry, Addresses("unix:///x"), engine).tell(slot)
    (result,) = sink.results["x"]
    assert (result.status.value, "crashed with exit code 1" in result.message) == (status, True)


def test_only_what_the_classic_builder_makes_is_a_step_of_a_build() -> None:
    """Others, too, begin containers by an image's digest and without a restart policy; the builder
    alone gives them no log."""
    for log, expected in (("none", True), ("json-file", False), (None, False)):
        host: dict[str, Any] = {"RestartPolicy": {"Name": ""}}
        host |= {} if log is None else {"LogConfig": {"Type": log}}
        document = {"Config": {"Image": f"sha256:{1:064x}"}, "HostConfig": host}
        assert is_build_step(document) is expected
