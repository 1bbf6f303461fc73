"""What commands print of plugins and of ./tocsin.toml: durations as people write them, and hints
that are true."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tocsin.core.cli.context import Context
from tocsin.core.cli.main import cli
from tocsin.core.cli.plugins import _default
from tocsin.core.units import format_count


def shown(*arguments: str) -> str:
    """What a command prints."""
    done = CliRunner().invoke(cli, [*arguments], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.output


def test_durations_are_shown_as_people_write_them() -> None:
    """``tocsin plugins NAME`` names a default as it would stand in tocsin.toml."""
    lines = [line.split() for line in shown("plugins", "heartbeat").splitlines()]
    assert ["period", "duration", "'1h'"] in lines
    assert ["grace", "duration", "'5m'"] in lines


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("duration", 5400.0, "'1h30m'"), ("duration", 90061.0, "90061"),
        ("duration", 0.5, "'500ms'"), ("duration", 2.5, "2.5"), ("size", 2 * 1024**3, "'2 GiB'"),
        ("size", 500_000_000, "'500 MB'"),
        ("size", 1025, "1025"), ("duration", None, "None"), ("number", 3600.0, "3600.0"),
        ("size | text", 1024, "'1 KiB'"),
    ],
)  # fmt: skip
def test_a_default_that_has_no_short_form_is_a_number(kind: str, value: object, text: str) -> None:
    """Nothing is rounded."""
    assert _default({"type": kind, "default": value}) == text


def test_what_has_no_options_has_no_table() -> None:
    """The heading of an empty table says nothing."""
    output = shown("plugins", "down")
    assert "rule replicas: " in output
    assert output.count("option") == 1


def test_a_single_thing_is_not_in_the_plural() -> None:
    """0 and 2 are."""
    assert [format_count(n, "alert") for n in (0, 1, 2)] == ["0 alerts", "1 alert", "2 alerts"]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", ""),
        ("data_dir = '/elsewhere'\n", "; ./tocsin.toml names /elsewhere: to use that, write "
         "tocsin --config ./tocsin.toml …"),
        ("data_dir = 7\n", ""),
    ],
)  # fmt: skip
def test_a_file_that_was_not_named_is_mentioned_where_it_leads_elsewhere(
    text: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """./tocsin.toml is read by default, but never says where the running tocsin is: a hint is
    needed only if it names another data directory."""
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o700)
    (tmp_path / "tocsin.toml").write_text(text)
    env = {"HOME": str(tmp_path)}
    assert Context(env=env).hint == hint
    assert Context(env=env, config=Path("tocsin.toml")).hint == ""
    assert Context(env={**env, "TOCSIN_DATA_DIR": "/elsewhere"}).hint == ""
