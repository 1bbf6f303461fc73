"""Options of channels that variables give, as third-party notifiers declare them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

import pytest
from attrs import field, frozen, validators

from tests.config.conftest import Entry, Load, Shelves, Wrong
from tocsin import Bytes, Message, Notifier, Receipt, Seconds, Secret, Severity, Variable
from tocsin.core.cli.run import _channels
from tocsin.core.config import redacted
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.plugin.manager import PluginManager


class Tone(StrEnum):
    LOW = "low"
    HIGH = "high"


@frozen(kw_only=True)
class PagerNotifier(Notifier):
    """One option of each kind that text can give."""

    environment: ClassVar[Mapping[str, Variable]] = {
        "gate": Variable("PAGER_GATE"),
        "key": Variable("PAGER_WORD", only_with="gate"),
        "people": Variable("PAGER_PEOPLE"),
        "numbers": Variable("PAGER_NUMBERS"),
        "tone": Variable("PAGER_TONE"),
        "port": Variable("PAGER_PORT", only_with="gate"),
        "share": Variable("PAGER_SHARE"),
        "loud": Variable("PAGER_LOUD"),
        "wait": Variable("PAGER_WAIT"),
        "room": Variable("PAGER_ROOM"),
        "either": Variable("PAGER_EITHER"),
    }

    gate: str
    key: Secret
    people: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()
    tone: Tone = Tone.LOW
    port: int | None = field(default=None, validator=validators.optional(validators.lt(1000)))
    share: float = 0.0
    loud: bool = False
    wait: Seconds = 0.0
    room: Bytes = 0
    either: int | str = 1

    async def send(self, message: Message) -> Receipt:
        return Receipt()


@frozen(kw_only=True)
class QuietNotifier(Notifier):
    """Needs nothing, so that a variable alone makes no channel of it."""

    environment: ClassVar[Mapping[str, Variable]] = {"label": Variable("QUIET_LABEL")}

    label: str = ""

    async def send(self, message: Message) -> Receipt:
        return Receipt()


@frozen(kw_only=True)
class LedNotifier(QuietNotifier):
    """Its variable counts more than the file, and has a substitute."""

    environment: ClassVar[Mapping[str, Variable]] = {
        "label": Variable("LED_LABEL", overrides=True, default="LED_DEFAULT")
    }


@frozen(kw_only=True)
class ShyNotifier(QuietNotifier):
    """Needs an option that no variable gives."""

    place: str


ENOUGH = {"PAGER_GATE": "a.example.org", "PAGER_WORD": "kQ9xLr2vTzWm4Hn8"}


@pytest.fixture
def catalog() -> Shelves:
    made = Shelves()
    made.notifiers = {
        "pager": Entry(PagerNotifier, "beeps"),
        "quiet": Entry(QuietNotifier, "quiet"),
        "shy": Entry(ShyNotifier, "shy"),
        "led": Entry(LedNotifier, "led"),
    }
    return made


def test_text_becomes_what_the_option_is(load: Load) -> None:
    """Lists are separated by commas; numbers, truth values, enums, durations and sizes are read as
    in the file; an option that may be text or a number is text; a secret is shown nowhere,
    whatever its variable is called."""
    settings = load(
        "", **ENOUGH, PAGER_PEOPLE="ann, bob,", PAGER_NUMBERS="1,2.5", PAGER_TONE="high",
        PAGER_PORT="99", PAGER_SHARE="0.5", PAGER_LOUD="true", PAGER_WAIT="2m", PAGER_ROOM="2KiB",
        PAGER_EITHER="7", QUIET_LABEL="x",
    )  # fmt: skip
    assert set(settings.channels) == {"pager"}
    made = settings.channels["pager"].notifier
    assert made == PagerNotifier(
        gate="a.example.org", key=Secret(ENOUGH["PAGER_WORD"]), people=("ann", "bob"),
        numbers=(1.0, 2.5), tone=Tone.HIGH, port=99, share=0.5, loud=True, wait=120, room=2048,
        either="7",
    )  # fmt: skip
    assert ENOUGH["PAGER_WORD"] in settings.secrets
    assert ENOUGH["PAGER_WORD"] not in str(redacted(settings))
    assert settings.warnings == ()


def test_a_variable_may_be_a_file(load: Load, tmp_path: Path) -> None:
    """``NAME_FILE`` counts for a plugin's variables as for any other."""
    (tmp_path / "word").write_text("kQ9xLr2vTzWm4Hn8\n")
    settings = load("", PAGER_GATE="a", PAGER_WORD_FILE=str(tmp_path / "word"))
    notifier = settings.channels["pager"].notifier
    assert isinstance(notifier, PagerNotifier)
    assert notifier.key.reveal() == "kQ9xLr2vTzWm4Hn8"


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("PAGER_NUMBERS", "1,two", "expected numbers separated by commas, got '1,two'"),
        ("PAGER_TONE", "shrill", "expected one of 'low', 'high', got 'shrill'"),
        ("PAGER_PORT", "x", "expected a whole number, got 'x'"),
        ("PAGER_PORT", "5000", "must be less than 1000, not 5000"),
        ("PAGER_LOUD", "very", "expected true or false, got 'very'"),
        ("PAGER_WAIT", "long", "'long' is not a duration"),
    ],
)
def test_an_error_names_the_variable(wrong: Wrong, variable: str, value: str, says: str) -> None:
    """One error, at the variable that a person has to correct, with or without a table."""
    for text in ("", '[channels.pager]\nmin_severity = "warning"\n'):
        (problem,) = wrong(text, **ENOUGH, **{variable: value})
        assert (problem.file, problem.path) == ("environment", variable)
        assert says in problem.message


def test_what_the_file_says_goes_first(load: Load, wrong: Wrong) -> None:
    """An option of the file replaces its variable, and an error in it is the file's."""
    settings = load('[channels.pager]\ntone = "low"\n', **ENOUGH, PAGER_TONE="high")
    notifier = settings.channels["pager"].notifier
    assert isinstance(notifier, PagerNotifier)
    assert (notifier.tone, notifier.gate) == (Tone.LOW, "a.example.org")
    (problem,) = wrong('[channels.pager]\ntone = "x"\n', **ENOUGH, PAGER_TONE="high")
    assert (problem.line, problem.path) == (2, "channels.pager.tone")


def test_a_variable_counts_only_with_another(load: Load, wrong: Wrong) -> None:
    """Where the file names another gate, the key of the variables is not used; where it names the
    same one, or no variable names one, it is."""
    (problem,) = wrong('[channels.pager]\ngate = "b.example.org"\n', **ENOUGH)
    assert str(problem).endswith("channels.pager.key: must be given")
    for gate, env in (
        ("a.example.org", ENOUGH), ("b.example.org", {"PAGER_WORD": ENOUGH["PAGER_WORD"]}),
    ):  # fmt: skip
        notifier = load(f'[channels.pager]\ngate = "{gate}"\n', **env).channels["pager"].notifier
        assert isinstance(notifier, PagerNotifier)
        assert (notifier.gate, notifier.key.reveal()) == (gate, ENOUGH["PAGER_WORD"])


def test_missing_variables_are_named(load: Load) -> None:
    """Some of them set, or only a table that refines the channel: a warning says which are missing;
    without any there is no channel and no word; a table that switches it off has the last word."""
    assert load("").warnings == ()
    assert load("", PAGER_GATE="a").warnings == (
        "PAGER_WORD is not set: there is no pager channel",
    )
    both = load('[channels.pager]\nmin_severity = "warning"\n')
    assert both.warnings == ("PAGER_GATE and PAGER_WORD are not set: there is no pager channel",)
    off = load("[channels.pager]\nenabled = false\n", **ENOUGH)
    assert (off.channels, off.warnings) == ({}, ())


def test_a_variable_refines_what_the_file_makes(load: Load) -> None:
    """A notifier that variables alone do not define takes them for the channel of its own name, and
    for no other."""
    text = '[channels.quiet]\n[channels.shy]\nplace = "hall"\n[channels.b]\nnotifier = "quiet"\n'
    made = load(text, QUIET_LABEL="x").channels
    labels = {name: getattr(channel.notifier, "label", None) for name, channel in made.items()}
    assert labels == {"quiet": "x", "shy": "x", "b": ""}


def test_run_says_what_could_be_set(load: Load, catalog: Shelves) -> None:
    """The line on channels names, for each notifier that variables define and that has no channel,
    these variables."""
    manager = PluginManager(PluginSettings(), discover=tuple)
    manager.notifiers.update(catalog.notifiers)  # type: ignore[arg-type]
    missing = "not configured: pager (set PAGER_GATE and PAGER_WORD)"
    assert _channels(load(""), manager) == f"none: no notifications are sent; {missing}"
    assert _channels(load("", **ENOUGH), manager) == "pager"
    ours = PluginManager(PluginSettings(external=False))
    ours.load()
    assert _channels(load(""), ours).endswith(
        "; not configured: telegram (set TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID), "
        "email (set SMTP_HOST and ADMIN_EMAIL)"
    )


RULE = '[rules.down]\nrule = "down"\nchannels = ["dns"]\n'


def test_a_channel_of_a_plugin_that_failed_is_not_lost(load: Load, wrong: Wrong) -> None:
    """Variables may define the channel that a rule or a fallback names, but the plugin that knows
    them was not loaded: there is a channel that cannot be used, so that another one takes its
    messages, and tocsin starts. A name that no plugin explains is an error."""
    for text in (RULE, '[channels.quiet]\nfallback = "dns"\n'):
        settings = load(text)
        channel = settings.channels["dns"]
        assert (channel.notifier, channel.broken) == (None, "plugin 'dns' failed: ImportError")
        assert settings.warnings == (
            "channel dns cannot be used: plugin 'dns' failed: ImportError",
        )
    (problem,) = wrong(RULE.replace("dns", "nobody"))
    assert "no channel is called 'nobody'" in problem.message
    off = load(RULE + "[channels.dns]\nenabled = false\n")
    assert off.channels == {}


def test_a_channel_for_all_comes_first(load: Load, catalog: Shelves) -> None:
    """Of the channels that variables define, those that take any alert precede those for critical
    ones."""

    @frozen(kw_only=True)
    class Aloof(PagerNotifier):
        min_severity = Severity.CRITICAL

    catalog.notifiers = {"aloof": Entry(Aloof, "beeps"), **catalog.notifiers}
    assert list(load("", **ENOUGH).channels) == ["pager", "aloof"]


@pytest.mark.parametrize(
    ("said", "env", "label"),
    [
        ("", {"LED_LABEL": "set"}, "set"),
        ('label = "said"', {"LED_LABEL": "set"}, "set"),
        ('label = "said"', {"LED_DEFAULT": "else"}, "said"),
        ("", {"LED_DEFAULT": "else"}, "else"),
        ("", {"LED_DEFAULT": "else", "LED_LABEL": "set"}, "set"),
    ],
)
def test_a_variable_may_override_and_have_a_substitute(
    load: Load, said: str, env: dict[str, str], label: str
) -> None:
    """One that overrides counts more than the file, its substitute less than both."""
    notifier = load(f"[channels.led]\n{said}\n", **env).channels["led"].notifier
    assert isinstance(notifier, LedNotifier)
    assert notifier.label == label
