"""What sources tell: targets, what their labels ask for, events, inventories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from tocsin.core.contracts.base import Claim
from tocsin.core.contracts.model import Event, LogLine, Target
from tocsin.core.hiding import visible
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.shapes.look import (
    AHEAD,
    LONGEST_LINE,
    LONGEST_NAME,
    LONGEST_TARGET,
    LONGEST_TEXT,
    LONGEST_WAIT,
    MOST_DEPENDENCIES,
    MOST_ITEMS,
    MOST_TARGETS,
    Look,
    guarded,
    is_aware,
    is_name,
    read_as,
    show,
)


def fit_own_name(given: object) -> str:
    """What a source calls a target. Raises PluginFault."""
    if not isinstance(given, str) or not given or len(given) > LONGEST_TARGET or "/" in given:
        raise PluginFault(
            f"called a target {show(given)}; a name is text of 1 to {LONGEST_TARGET} characters "
            "without '/'"
        )
    return visible(str(given))


def fit_target(given: object) -> tuple[Target, str | None]:
    """A target that a source found. Its labels stay as they are: probes and matchers go by them.
    Raises PluginFault: nothing is left by which it could be watched."""

    def look_at() -> tuple[Target, str | None]:
        target = read_as(Target, given, "discovered")
        look = Look.new()
        if (name := fit_own_name(target.name)) is not target.name:
            look.changed["name"] = name
        if not isinstance(target.kind, str) or not 0 < len(target.kind) <= LONGEST_NAME:
            look.instead("kind", "service", target.kind, "a short text")
        elif visible(target.kind) != target.kind:
            look.changed["kind"] = visible(target.kind)
        if type(target.critical) is not bool:
            look.instead("critical", False, target.critical, "true or false")
        if target.service is not None and not is_name(target.service, LONGEST_TARGET):
            look.instead("service", None, target.service, "a short text")
        _fit_names(look, "depends_on", target.depends_on)
        look.numbers("expected", target.expected)
        _fit_labels(look, target.labels)
        return look.done(target, f"the target {show(name)}")

    return guarded(look_at, "its target")


def _fit_names(look: Look, name: str, given: object) -> None:
    if not isinstance(given, tuple | list | set | frozenset):
        look.instead(name, (), given, "a list of names")
        return
    names = tuple(
        each for each in islice(given, MOST_DEPENDENCIES)
        if isinstance(each, str) and 0 < len(each) <= LONGEST_TARGET
    )  # fmt: skip
    if len(names) < len(given):
        look.instead(name, names, given, "a list of names")
    elif type(given) is not tuple:
        look.changed[name] = names


def _fit_labels(look: Look, given: object) -> None:
    if not isinstance(given, Mapping):
        look.instead("labels", {}, given, "a table of texts")
        return
    if type(given) is dict and all(
        type(key) is str and type(text) is str for key, text in given.items()
    ):
        return
    look.changed["labels"] = {
        str(key): str(text)
        for key, text in islice(given.items(), MOST_ITEMS)
        if isinstance(key, str) and isinstance(text, str)
    }
    if len(look.changed["labels"]) < len(given):
        look.wrong.append("labels that are no texts")


def fit_tables(given: object) -> tuple[Mapping[str, Mapping[str, Any]], str | None]:
    """The checks that the labels of a target ask for. Raises PluginFault."""
    look = Look.new()

    def look_at() -> tuple[Mapping[str, Mapping[str, Any]], str | None]:
        if given is None:
            return {}, None
        look.data("checks", given)
        tables = look.changed.get("checks", given)
        kept = {name: table for name, table in tables.items() if isinstance(name, str)}
        if len(kept) < len(tables):
            look.wrong.append("checks without a name")
        return kept, f"gave {look.wrong[0]}" if look.wrong else None

    return guarded(look_at, "its checks")


def fit_claim(given: object) -> tuple[Claim | None, str | None]:
    """What labels claim. Raises PluginFault."""

    def look_at() -> tuple[Claim | None, str | None]:
        if given is None:
            return None, None
        claim = read_as(Claim, given, "discovered")
        look = Look.new()
        if claim.name is not None and not isinstance(claim.name, str):
            look.instead("name", None, claim.name, "text")
        if not isinstance(claim.also, tuple) or not all(map(is_name, claim.also)):
            look.instead("also", (), claim.also, "a tuple of names")
        if not isinstance(claim.identity, Mapping) or not all(
            isinstance(text, str) for text in claim.identity.values()
        ):
            look.instead("identity", {}, claim.identity, "a table of texts")
        if not isinstance(claim.refused, tuple | list) or not all(
            isinstance(text, str) for text in claim.refused
        ):
            look.instead("refused", (), claim.refused, "a tuple of texts")
        else:
            few = tuple(text[:LONGEST_TEXT] for text in claim.refused[:MOST_DEPENDENCIES])
            if few != claim.refused:
                look.changed["refused"] = few
        return look.done(claim, "a claim")

    return guarded(look_at, "its claim")


def fit_event(given: object, now: datetime) -> tuple[Event, str | None]:
    """What happened to a target. Raises PluginFault."""

    def look_at() -> tuple[Event, str | None]:
        event = read_as(Event, given, "happened")
        look = Look.new()
        if (name := fit_own_name(event.target)) is not event.target:
            look.changed["target"] = name
        for field in ("source", "action"):
            look.text(field, getattr(event, field), LONGEST_NAME)
        look.data("attributes", event.attributes)
        if (at := fit_time(event.at, now)) is not event.at:
            look.instead("at", at, event.at, "an aware datetime that is past")
        if type(event.id) is not UUID:
            raise PluginFault(f"gave an event whose id is {show(event.id)}, not a UUID")
        return look.done(event, "an event")

    return guarded(look_at, "its event")


def fit_time(given: object, now: datetime) -> datetime:
    """When something was seen: ``now`` where that cannot be."""
    if not is_aware(given):
        return now
    try:
        return given if now - timedelta(seconds=LONGEST_WAIT) <= given <= now + AHEAD else now
    except (OverflowError, ValueError):
        return now


def fit_names(given: Iterable[object]) -> tuple[frozenset[str], str | None]:
    """The names of a full inventory, without those that cannot be. Raises PluginFault."""
    names = guarded(lambda: list(islice(given, MOST_TARGETS + 1)), "its inventory")
    if len(names) > MOST_TARGETS:
        raise PluginFault(f"has more than {MOST_TARGETS} targets")
    fitting, wrong = set(), None
    for name in names:
        try:
            fitting.add(fit_own_name(name))
        except PluginFault as fault:
            wrong = wrong or str(fault)
    return frozenset(fitting), wrong


def fit_lines(given: object, most: int) -> list[LogLine]:
    """The last lines that a target wrote, at most so many. Raises PluginFault."""

    def look_at() -> list[LogLine]:
        if not isinstance(given, list | tuple):
            raise PluginFault(f"returned {type(given).__name__} from logs, not a list")
        lines = []
        for each in given[-most:]:
            line, look = read_as(LogLine, each, "logs"), Look.new()
            look.text("text", line.text, LONGEST_LINE)
            look.text("stream", line.stream, LONGEST_NAME)
            if line.at is not None and not is_aware(line.at):
                look.instead("at", None, line.at, "an aware datetime")
            lines.append(look.done(line, "a line")[0])
        return lines

    return guarded(look_at, "its log lines")


def fit_document(given: object) -> dict[str, Any]:
    """All that a source knows of a target. Raises PluginFault."""
    if not isinstance(given, Mapping):
        raise PluginFault(f"returned {type(given).__name__} from inspect, not a table")
    return guarded(lambda: dict(given), "its document")
