"""Every error of a table is reported, each says what to write instead, and what lacks an option and
has no table is idle."""

from __future__ import annotations

import pytest
from attrs import field, frozen

from tests.config.conftest import Entry, Load, Shelves, Wrong
from tocsin import (
    AlertChange,
    Observer,
    Reviewer,
    ReviewRequest,
    Seconds,
    Service,
    ServiceContext,
    Sink,
    Source,
    check_pattern,
)


def positive(_: object, __: object, value: int) -> None:
    if value < 1:
        raise ValueError("must be at least 1")


@frozen(kw_only=True)
class Tick(Service):
    file: str
    wait: Seconds = 1.0
    at_least: int = field(default=1, validator=positive)
    pattern: str = field(default=".", validator=check_pattern)

    async def run(self, context: ServiceContext) -> None:
        return


@frozen(kw_only=True)
class Watch(Observer):
    file: str
    mode: str

    async def changed(self, change: AlertChange) -> None:
        return


@frozen(kw_only=True)
class Gate(Reviewer):
    section = "gate"
    file: str

    async def review(self, request: ReviewRequest) -> str | None:
        return None


@frozen(kw_only=True)
class Fleet(Source):
    autostart = "fleet"
    file: str

    async def run(self, name: str, interval: float, sink: Sink) -> None:
        return


@pytest.fixture
def catalog() -> Shelves:
    made = Shelves()
    made.services["tick"] = Entry(Tick, "tick")
    made.observers["watch"] = Entry(Watch, "watch")
    made.reviewers["gate"] = Entry(Gate, "gate")
    made.sources["fleet"] = Entry(Fleet, "fleet")
    return made


def test_what_lacks_an_option_and_has_no_table_is_idle(load: Load) -> None:
    """No plugin is at fault; what is needed is said with table and option."""
    settings = load("")
    assert settings.unbuilt() == {}
    assert settings.warnings == ()
    assert dict(settings.idle) == {
        "service.tick": "[services.tick] file must be given",
        "observer.watch": "[observers.watch] file and mode must be given",
        "reviewer.gate": "[gate] file must be given",
        "source.fleet": "[sources.fleet] file must be given",
    }
    assert not any((settings.services, settings.observers, settings.reviewers))
    settings = load("[services.tick]\nfile = 'a'\n")
    assert "service.tick" not in settings.idle
    assert settings.services["tick"].is_configured


def test_a_table_without_the_option_is_an_error(wrong: Wrong) -> None:
    """Who writes the table wants the part."""
    (problem,) = wrong("[services.tick]\nwait = 1\n")
    assert (problem.path, problem.message) == ("services.tick.file", "must be given")


def found(wrong: Wrong, text: str) -> dict[str, str]:
    """Messages by path."""
    return {problem.path: problem.message for problem in wrong(text)}


def test_one_refused_option_does_not_hide_another(wrong: Wrong) -> None:
    """Validators, types, unknown and missing options are reported together, also under an invalid
    ``enabled``."""
    text = "[services.tick]\nfile = 'a'\nat_least = 0\npattern = '(a'\n"
    assert found(wrong, text) == {
        "services.tick.at_least": "must be at least 1",
        "services.tick.pattern": "pattern = '(a' is not a regular expression: "
        "missing ) at position 2",
    }
    text = "[services.tick]\nenabled = 'no'\nwait = '-1s'\nwat = 1\nat_least = 0\n"
    assert found(wrong, text) == {
        "services.tick.enabled": "expected true or false, got 'no'",
        "services.tick.file": "must be given",
        "services.tick.wait": "'-1s' is negative; write seconds or text such as '30s'",
        "services.tick.wat": "there is no such option; did you mean 'wait'?",
        "services.tick.at_least": "must be at least 1",
    }


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        (
            "[channels.b4]\nhold = 1\n", "channels.b4.notifier",
            "must be given, since no notifier is called 'b4'; known are recording",
        ),
        (
            "[rules.x]\nfor = '1m'\n", "rules.x.rule",
            """there is no rule 'x'; write rule = "…"; known are down""",
        ),
        (
            "[rules.dwn]\nfor = '1m'\n", "rules.dwn.rule",
            """there is no rule 'dwn'; write rule = "down\"""",
        ),
        (
            "[rules.b]\nrule = 'down'\nfooo = 1\n", "rules.b.fooo",
            "known are channels, cooldown, enabled, escalate_after, ",
        ),
        (
            "[rules.b]\nrule = 'down'\nchannels = 'fired'\n", "rules.b.channels",
            """expected a list such as ["fired"], got 'fired'""",
        ),
        (
            "[targets.a.checks.r]\nprobe = 'rich'\nnumbers = 7\n", "targets.a.checks.r.numbers",
            "expected a list such as [7], got 7",
        ),
        (
            "[targets.a.checks.r]\nprobe = 'rich'\ninterval = '-1s'\n",
            "targets.a.checks.r.interval", "'-1s' is negative",
        ),
    ],
)  # fmt: skip
def test_a_message_says_what_to_write(wrong: Wrong, text: str, path: str, message: str) -> None:
    """The thing and the remedy, with the names that are known there."""
    (problem,) = wrong(text)
    assert problem.path == path
    assert message in problem.message
