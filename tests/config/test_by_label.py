"""Checks that labels ask for: what strangers may have tocsin do, and what allows them more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.config.conftest import Load, Wrong
from tocsin.core.config import ConfigError, build_check, load_config
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.config.settings import CheckSettings
from tocsin.core.plugin.manager import PluginManager
from tocsin.plugins.probes.http import HttpProbe

DSN = "postgresql://postgres@127.0.0.1/postgres"
GOOD: dict[str, dict[str, Any]] = {
    "http": {"probe": "http", "url": "http://127.0.0.1:1/"},
    "tcp": {"probe": "tcp", "host": "127.0.0.1", "port": 1},
    "heartbeat": {"probe": "heartbeat", "period": "1h"},
}
HARMFUL: dict[str, dict[str, Any]] = {
    "backup-script": {"probe": "backup-script", "command": ["/bin/sh", "-c", "id >/tmp/owned"]},
    "postgres-query": {"probe": "postgres-query", "dsn": DSN, "query": "SELECT 1"},
    "disk": {"probe": "disk"},
}


@pytest.fixture(scope="module")
def plugins() -> PluginManager:
    """Tocsin's own plugins."""
    manager = PluginManager(PluginSettings())
    manager.load()
    return manager


def ask(plugins: PluginManager, table: dict[str, Any], *allowed: str) -> CheckSettings:
    return build_check(
        "web", "x", table, plugins, interval=30, source="docker", allowed=allowed
    )  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_labels_may_ask_for_what_does_no_harm(plugins: PluginManager, name: str) -> None:
    """http, tcp and heartbeat checks by label run."""
    check = ask(plugins, GOOD[name])
    assert (check.broken, check.probe is not None) == (None, True)


@pytest.mark.parametrize("name", HARMFUL)
def test_labels_may_ask_for_nothing_else(plugins: PluginManager, name: str) -> None:
    """A probe that runs programs, reads files or uses credentials is refused: the reason names the
    label, the probe and the remedy, and the remedy works."""
    check = ask(plugins, HARMFUL[name])
    assert check.probe is None
    assert check.broken == (
        f"the label tocsin.check.x.probe asks for {name}, which no label may; "
        f'label_probes = ["{name}"] in [sources.docker] allows it'
    )
    assert not check.options
    allowed = ask(plugins, HARMFUL[name], name)
    assert (allowed.broken, allowed.probe_name, allowed.probe is None) == (None, name, False)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("http", "ca_file", "/dev/zero"),
        ("http", "method", "POST"),
        ("http", "body", "{}"),
        ("http", "matches", "(a+)+$"),
        ("http", "max_body", "100GB"),
        ("tcp", "ca_file", "/etc/shadow"),
        ("tcp", "expect", "(a+)+$"),
        ("tcp", "send", "DELETE / HTTP/1.0\r\n\r\n"),
    ],
)
def test_some_options_are_the_configuration_s(
    plugins: PluginManager, name: str, option: str, value: str
) -> None:
    """What reads a file here, changes what it looks at, or could take this process's time or
    memory, no label sets, unless all is allowed."""
    table = {**GOOD[name], option: value}
    reason = ask(plugins, table).broken or ""
    assert f"the label tocsin.check.x.{option} sets an option of {name}" in reason
    assert f'label_probes = ["{name}"]' in reason
    assert ask(plugins, table, name).broken is None


def test_labels_tell_no_secret_of_the_environment(
    plugins: PluginManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a label ``${VAR}`` is the text itself: nothing of tocsin's environment goes anywhere."""
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    table = {"probe": "http", "url": "http://a.test/?${PGPASSWORD}", "bearer": "${PGPASSWORD}"}
    probe = ask(plugins, table).probe
    assert isinstance(probe, HttpProbe)
    assert (probe.url, probe.bearer) == ("http://a.test/?${PGPASSWORD}", "${PGPASSWORD}")


def test_a_wrong_label_is_an_error(plugins: PluginManager) -> None:
    """A probe that is not there, or a table without one, is told with the target and the check."""
    for table in ({"probe": "nope"}, {"probe": ["http"]}, {"port": 1}):
        with pytest.raises(ConfigError, match=r"labels of web: web\.x\.probe"):
            ask(plugins, table)


def test_each_source_allows_its_own(load: Load, wrong: Wrong, tmp_path: Path) -> None:
    """``label_probes`` belongs to one source; a probe that nobody has is an error with its line."""
    text = "[sources.a]\nprobe = 'engine'\nlabel_probes = [{}]\n[sources.b]\nprobe = 'engine'\n"
    sources = load(text.format("'rich', 'dns'")).sources
    assert sources["a"].source is not None
    assert sources["b"].source is not None
    assert sources["a"].source.label_probes == ("rich", "dns")
    assert sources["b"].source.label_probes == ()
    (problem,) = wrong(text.format("'ritch'"))
    assert (problem.line, problem.path) == (3, "sources.a.label_probes")
    assert "no probe is called 'ritch'; did you mean 'rich'?" in problem.message


def test_the_local_engine_takes_the_option(plugins: PluginManager, tmp_path: Path) -> None:
    """``[sources.docker]`` with nothing but ``label_probes`` is the local engine."""
    file = tmp_path / "tocsin.toml"
    file.write_text('[sources.docker]\nlabel_probes = ["postgres-query"]\n')
    source = load_config(file, {}, plugins).sources["docker"].source
    assert source is not None
    assert source.label_probes == ("postgres-query",)
