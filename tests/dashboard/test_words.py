"""Texts of strangers, and figures for people."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some
from markdown_it import MarkdownIt

from tocsin.dashboard import logs, tones, words

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "**bold** _it_ `code` ~~gone~~ # head",
    ":red[x] :material/home: :smile: $x^2$ :green-badge[OK]",
    "https://evil.example www.evil.example a@evil.example",
    "| a | b |\n|---|---|\n1. one\n- two\n> three",
    "&lt;b&gt; &#58;",
    "\x1b[31mred\u202eevil\u200b\x00",
)


@given(some.text() | some.sampled_from(HOSTILE))
def test_plain_text_is_shown_letter_by_letter(text: str) -> None:
    """Read as Markdown, the escaped text is one run of plain text, and that text is the cleaned
    one: no link, no image, no HTML, no list."""
    escaped = words.plain(text)
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parseInline(escaped)
    children = tokens[0].children or []
    assert {token.type for token in children} <= {"text", "text_special", "softbreak"}
    read = "".join(token.content for token in children).replace("\u2060", "")
    assert read.strip() == words.clean(text).replace("\u2060", "�").strip()


@given(some.text())
def test_clean_text_is_one_line_of_visible_characters(text: str) -> None:
    """Neither control, format and private characters, nor line ends, nor more than the limit."""
    line = words.clean(text, 40)
    assert len(line) <= 40
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in line)


@pytest.mark.parametrize("text", [":material/home:", "https://x.example", "a@b.example", "www.x"])
def test_icons_and_addresses_are_broken(text: str) -> None:
    """What Streamlit looks for after escapes are undone is split by an invisible joiner."""
    assert text not in words.plain(text).replace("\\", "")


def test_figures_for_people() -> None:
    """Durations in two units, sizes, shares that never pretend to be whole."""
    assert words.duration(7 * 86400 + 4 * 3600 + 59) == "7d 4h"
    assert words.duration(3600) == "1h"
    assert words.duration(0) == "0s"
    assert words.duration(None) == "–"
    assert words.size(340_000_000) == "340 MB"
    assert words.size(1_600_000_000) == "1.6 GB"
    assert words.size(512) == "512 B"
    assert words.percent(0.4) == "0.4 %"
    assert words.percent(87.2) == "87 %"
    assert words.share(1.0) == "100 %"
    assert words.share(0.99999) == "99.99 %"
    assert words.share(None) == "no data"


def test_times_for_people() -> None:
    """Today the clock alone, in the reader's zone; else the day; unknown zones are UTC."""
    now = datetime(2026, 3, 4, 22, 30, tzinfo=UTC)
    berlin = words.zone_of("Europe/Berlin")
    assert words.when("2026-03-04T21:05:06Z", berlin, now) == "22:05:06"
    assert words.when("2026-03-03T21:05:06Z", berlin, now) == "3 Mar 22:05"
    assert words.when(None, berlin) == "never"
    assert words.zone_of("../../etc/passwd") is UTC
    assert words.ago((now - timedelta(hours=3)).isoformat(), now) == "3h ago"


def test_levels_of_log_lines() -> None:
    """A level is found near the start, as a word of its own."""
    assert logs.level_of("2026-01-01 14:30:01 INFO  Processing") == "info"
    assert logs.level_of("[error] it broke") == "error"
    assert logs.level_of('{"level":"warning","msg":"x"}') == "warn"
    assert logs.level_of("WARN High latency") == "warn"
    assert logs.level_of("what informs about errors") == ""
    assert logs.level_of("x" * 90 + " ERROR") == ""


def test_log_lines_are_searched_and_escaped() -> None:
    """Every word of the search has to be there; what is rendered holds none of a line's markup."""
    lines = logs.read(
        {"at": None, "stream": "stderr" if n else "stdout", "text": text}
        for n, text in enumerate(HOSTILE)
    )
    html = logs.render(lines, UTC)
    assert "<script" not in html
    assert "<img" not in html
    assert "\u202e" not in html
    assert "\x1b" not in html
    assert len(logs.select(lines, "EVIL example www", [])) == 1
    assert logs.select(lines, "", ["error"]) == []


def test_a_tone_is_the_worse_of_status_and_alerts() -> None:
    """A target that is up turns yellow for a warning and red for a critical alert, and always has
    a word and an icon beside its colour."""
    up = {"status": "up"}
    warning = {"state": "firing", "severity": "warning"}
    critical = {"state": "acknowledged", "severity": "critical"}
    over = {"state": "resolved", "severity": "critical"}
    assert tones.of_item(up, [over]) is tones.OK
    assert tones.of_item(up, [warning]) is tones.WARNING
    assert tones.of_item(up, [warning, critical]) is tones.CRITICAL
    assert tones.of_item({"status": "unknown"}, []) is tones.UNKNOWN
    for tone in tones.TONES.values():
        assert tone.icon in tones.badge(tone)
        assert tone.word in tones.badge(tone)
        assert tone.colour in tones.badge(tone)


def test_what_fires_is_foremost_however_old_it_is() -> None:
    """Of recent alerts the ones that fire are shown first, the worst of them before all, then those
    that somebody looks after; what is suppressed or over fills what is left, the newest first."""
    alerts = [
        {"id": f"{number:02}", "state": state, "severity": severity}
        for number, (state, severity) in enumerate([
            ("firing", "critical"), ("firing", "warning"), ("acknowledged", "critical"),
            ("resolved", "critical"), ("firing", "info"), ("firing", "critical"),
            *[("suppressed", "warning"), ("resolved", "warning")] * 4,
        ])
    ]  # fmt: skip
    shown = [alert["id"] for alert in tones.foremost(alerts, 7)]
    assert shown == ["05", "00", "01", "04", "02", "13", "12"]
    assert len(tones.foremost(alerts, 100)) == len(alerts)


def test_an_alert_in_a_line_says_nothing_twice() -> None:
    """Its title stands before its message, unless the message begins with it."""
    assert words.said_of("high_memory", "High memory (94 %), above 90 %").startswith(
        "High memory ("
    )
    assert words.said_of("container_down", "exit code 1") == "Container down: exit code 1"


def test_how_long_it_is_up_stays_on_a_card_that_warns() -> None:
    """The headline of a container that warns is the warning; its uptime stands with its figures."""
    item = {"status": "up", "reason": "running", "state": "running", "uptime_seconds": 7 * 86400,
            "cpu_percent": 97.0, "memory_bytes": 890e6}  # fmt: skip
    calm = tones.figures(item, tones.headline(item, [])).replace("\u00a0", " ")
    assert calm == "CPU 97 % · Mem 890 MB"
    headline = tones.headline(item, [{"message": "High CPU (97 %)"}])
    assert tones.figures(item, headline).replace("\u00a0", " ") == f"Up 7d · {calm}"
    stopped = {**item, "state": "exited", "uptime_seconds": None}
    assert "Up" not in tones.figures(stopped, "Stopped (exit 0)")
