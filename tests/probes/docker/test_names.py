"""What a container's target is called."""

from __future__ import annotations

from typing import Any

import pytest

from tocsin.plugins.probes.docker_health.containers import Registry


def container(identity: str, name: str, **labels: str) -> dict[str, Any]:
    """A part of an inspect document."""
    named = {key.replace("_", "."): value for key, value in labels.items()}
    return {"Id": identity, "Name": f"/{name}", "Config": {"Labels": named}}


@pytest.mark.parametrize(
    ("asked", "target"),
    [
        ("Web shop", "Web shop"), (" shop ", "shop"), ("a/b", "a-b"), ("", "web"), (" ", "web"),
        ("web\r\nBcc: evil@example.org", "web"), ("we\u202eb", "web"), ("\ud800", "web"),
        ("n" * 100, "n" * 100), ("n" * 101, "web"),
    ],
)  # fmt: skip
def test_a_label_names_the_target_where_the_name_is_good(asked: str, target: str) -> None:
    """What the configuration would refuse as a name is no name here: the container's own stands. A
    slash, which parts a target from its check, becomes a dash."""
    slot, _ = Registry().put(container("1" * 64, "web", tocsin_name=asked), 0.0)
    assert slot.target == target


def test_two_that_ask_for_one_name_are_two_targets() -> None:
    """The first has it, the second goes by its own."""
    registry = Registry("@nas")
    names = [
        registry.put(container(str(n) * 64, f"web-{n}", tocsin_name="shop"), 0.0)[0].target
        for n in range(2)
    ]
    assert names == ["shop@nas", "web-1@nas"]
