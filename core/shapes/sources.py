"""Validation of what sources report: targets, requests of labels, events, inventories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from tocsin.core.contracts.model import Event, LogLine, Target
from tocsin.core.contracts.source import Claim
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
    """Return a source's name of a target.

    Raises:
        PluginFault: the name is invalid.
    """
    if not isinstance(given, str) or not given or len(given) > LONGEST_TARGET or "/" in given:
        raise PluginFault(
            f"called a target {show(given)}; a name must be text of 1 to {LONGEST_TARGET} "
            "characters without '/'"
        )
    return visible(str(given))


def fit_target(given: object) -> tuple[Target, str | None]:
    """Return the usable part of a discovered target, and what was invalid, or None.

    Its labels are not changed, since probes and matchers use them.

    Raises:
        PluginFault: it cannot be watched, since its name is invalid or it is not a target.
    """

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
        look.wrong.append("labels that are not text")


def fit_tables(given: object) -> tuple[Mapping[str, Mapping[str, Any]], str | None]:
    """Return the valid checks that a target's labels request, and what was invalid, or None.

    Raises:
        PluginFault: they cannot be read.
    """
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
    """Return the usable part of what labels claim, and what was invalid, or None.

    Raises:
        PluginFault: it is not a claim.
    """

    def look_at() -> tuple[Claim | None, str | None]:
        if given is None:
            return None, None
        claim = read_as(Claim, given, "discovered")
        look = Look.new()
        if claim.name is not None and not isinstance(claim.name, str):
            look.instead("name", None, claim.name, "text")
        if not isinstance(claim.also, tuple) or not all(map(is_name, claim.also)):
            look.instead("also", (), claim.also, "a tuple of names")
        for flag in ("by_image", "depends_on"):
            if type(given_flag := getattr(claim, flag)) is not bool:
                look.instead(flag, False, given_flag, "true or false")
        if not isinstance(claim.identity, Mapping) or not all(
            isinstance(text, str) for pair in claim.identity.items() for text in pair
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
    """Return the usable part of an event, and what was invalid, or None.

    Args:
        given: the value.
        now: replaces an invalid time; aware UTC.

    Raises:
        PluginFault: it is not an event, or its target or id is invalid.
    """

    def look_at() -> tuple[Event, str | None]:
        event = read_as(Event, given, "happened")
        look = Look.new()
        if (name := fit_own_name(event.target)) is not event.target:
            look.changed["target"] = name
        for field in ("source", "action"):
            look.text(field, getattr(event, field), LONGEST_NAME)
        look.data("attributes", event.attributes)
        if (at := fit_time(event.at, now)) is not event.at:
            look.instead("at", at, event.at, "an aware datetime that is not in the future")
        if type(event.id) is not UUID:
            raise PluginFault(f"gave an event whose id is {show(event.id)}, not a UUID")
        return look.done(event, "an event")

    return guarded(look_at, "its event")


def fit_time(given: object, now: datetime) -> datetime:
    """Return the time of an observation; ``now`` if it is missing, in the future or too old."""
    if not is_aware(given):
        return now
    try:
        return given if now - timedelta(seconds=LONGEST_WAIT) <= given <= now + AHEAD else now
    except (OverflowError, ValueError):
        return now


def fit_names(given: Iterable[object]) -> tuple[frozenset[str], str | None]:
    """Return the valid names of a full inventory, and what was invalid, or None.

    Raises:
        PluginFault: it cannot be read, or has more than MOST_TARGETS names.
    """
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
    """Return the last log lines of a target, at most ``most``.

    Raises:
        PluginFault: they are not a list of log lines.
    """

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
    """Return all that a source knows of a target, as a dict.

    Raises:
        PluginFault: it is not a table.
    """
    if not isinstance(given, Mapping):
        raise PluginFault(f"returned {type(given).__name__} from inspect, not a table")
    return guarded(lambda: dict(given), "its document")
