"""The types of a plugin's options: those that no configuration can hold are refused at load."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType

import attrs
import pytest
from attrs import field, frozen

from tocsin import Bytes, Probe, Result, Seconds, Secret, Target, hookimpl
from tocsin.core.plugin.manager import PluginManager

Manager = Callable[..., PluginManager]
Name = NewType("Name", str)


class Mode(Enum):
    FAST = "fast"


@frozen(kw_only=True)
class Login:
    user: str
    again: Login | None = None


@frozen(kw_only=True)
class Wave:
    phase: complex


class Client:
    """Something that is no option."""


def module_of(kind: Any, **more: Any) -> types.ModuleType:
    """A plugin with a probe that has one option of this type."""
    made = attrs.make_class(
        "Mine", {"at_least": field(type=kind, **more)}, bases=(Probe,), frozen=True, kw_only=True
    )

    async def check(_: Any, target: Target) -> Result:
        return Result.up()

    made.check = check  # type: ignore[attr-defined]
    module = types.ModuleType("mine")

    @hookimpl
    def tocsin_probes() -> dict[str, type]:
        return {"mine": made}

    vars(module).update(tocsin_probes=tocsin_probes)
    return module


@pytest.mark.parametrize(
    ("kind", "spelled"),
    [
        (complex, "complex"),
        (list[complex], "list[complex]"),
        (dict[str, tuple[complex, ...]], "dict[str, tuple[complex, ...]]"),
        (complex | None, "complex | None"),
        (datetime, "datetime"),
        (bytes, "bytes"),
        (Client, "Client"),
        (type[Client], "type[Client]"),
        (Callable[[], int], "Callable[[], int]"),
    ],
)
def test_an_option_that_no_configuration_can_hold_is_refused(
    tocsin_manager: Manager, kind: Any, spelled: str
) -> None:
    """When the plugin is loaded, with the option, its type and the remedy; a default changes
    nothing."""
    for more in ({}, {"default": None}):
        (record,) = tocsin_manager(mine=module_of(kind, **more)).records
        assert record.status == "failed"
        assert str(record.reason).startswith(
            f"has a class Mine whose option at_least has the type {spelled}, which the "
            "configuration cannot hold; use str, int,"
        )


def test_an_option_within_an_option_is_named(tocsin_manager: Manager) -> None:
    """With its path."""
    (record,) = tocsin_manager(mine=module_of(list[Wave])).records
    assert "option at_least.phase has the type complex" in str(record.reason)


def test_an_annotation_that_cannot_be_read_is_a_fault(tocsin_manager: Manager) -> None:
    """A name that is imported for type checkers only."""
    (record,) = tocsin_manager(mine=module_of("Nowhere")).records
    assert "has a class Mine whose annotations cannot be read (raised NameError" in str(
        record.reason
    )


def test_options_without_a_place_in_the_configuration_may_be_anything(
    tocsin_manager: Manager,
) -> None:
    """Fields with ``init=False`` are no options."""
    (record,) = tocsin_manager(mine=module_of(Client, init=False, default=None)).records
    assert record.status == "ok"


@pytest.mark.parametrize(
    "kind",
    [
        str, int, float, bool, Any, None, Path, Secret, Seconds, Bytes, Mode, Login, Name,
        Literal["a", "b"], Annotated[int, "of things"], list, dict, list[str], tuple[int, str],
        tuple[int, ...], set[Mode], frozenset[str], Sequence[Login], Mapping[str, Any],
        dict[str, list[int | str]], Secret | None, int | list[float], Seconds | None,
    ],
)  # fmt: skip
def test_every_type_that_the_configuration_knows_is_accepted(
    tocsin_manager: Manager, kind: Any
) -> None:
    """Also within others, and in a class that refers to itself."""
    (record,) = tocsin_manager(mine=module_of(kind)).records
    assert (record.status, record.reason) == ("ok", None)
