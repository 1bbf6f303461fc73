"""Variables, and the files that stand for them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.config.conftest import Load, Wrong, history_of
from tocsin.core.config import read_secret
from tocsin.core.config.environment import Environment
from tocsin.core.config.errors import Problems

CHECK = '[targets.a.checks.c]\nprobe = "rich"\ntext = "see ${PING}"\n'


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """What TOCSIN_SECRETS names."""
    place = tmp_path / "secrets"
    place.mkdir()
    return place


def option(load: Load, text: str = CHECK, **env: str) -> str:
    probe: Any = load(text, **env).targets["a"].checks["c"].probe
    return str(probe.text)


def test_a_file_stands_for_any_variable(load: Load, secrets: Path) -> None:
    """A file called like the variable, in the directory TOCSIN_SECRETS, fills ``${NAME}`` without
    its last line end, and is a secret from then on; the variable itself and NAME_FILE go before."""
    env = {"TOCSIN_SECRETS": str(secrets)}
    (secrets / "PING").write_text("hunter2hunter2\n")
    (secrets / "named").write_text("by its file\n")
    assert option(load, **env) == "see hunter2hunter2"
    assert load(CHECK, **env).secrets == {"hunter2hunter2"}
    assert option(load, PING="", PING_FILE="", **env) == "see hunter2hunter2"
    assert option(load, PING_FILE=str(secrets / "named"), **env) == "see by its file"
    assert option(load, PING="plain", **env) == "see plain"
    assert option(load, CHECK.replace("}", ":-default}"), **env) == "see hunter2hunter2"
    assert read_secret("PING", env) == "hunter2hunter2"
    (secrets / "PING").unlink()
    assert option(load, CHECK.replace("}", ":-default}"), **env) == "see default"
    assert read_secret("PING", env) is None


def test_a_variable_that_is_not_there_is_told_with_the_directory(
    wrong: Wrong, secrets: Path
) -> None:
    """Where there is such a directory, the remedy names it; an empty file is as good as none."""
    (problem,) = wrong(CHECK)
    assert problem.message == (
        "the environment variable PING is not set; set it, or give a default: ${PING:-…}"
    )
    (secrets / "PING").write_text("\n")
    (problem,) = wrong(CHECK, TOCSIN_SECRETS=str(secrets))
    assert f"set it, put a file of that name into {secrets}, or give" in problem.message


def test_a_file_that_cannot_be_read_is_told_once(wrong: Wrong, secrets: Path) -> None:
    """Both kinds of file: one problem with the file and the reason, none that it is not set."""
    (secrets / "PING").mkdir()
    (problem,) = wrong(CHECK, TOCSIN_SECRETS=str(secrets))
    assert (problem.file, problem.path) == ("environment", "PING")
    assert f"the file {secrets}/PING cannot be read (Is a directory)" in problem.message
    (problem,) = wrong(CHECK, PING_FILE=str(secrets / "PING"))
    assert problem.path == "PING_FILE"


@pytest.mark.skipif(os.geteuid() != 0, reason="to become another user needs root")
def test_a_directory_nobody_may_enter_does_no_harm() -> None:
    """Variables that are not asked for stay unset; the remedy of one that is tells of it."""
    with tempfile.TemporaryDirectory() as closed:
        problems = Problems("tocsin.toml")
        environment = Environment({"TOCSIN_SECRETS": closed}, problems)
        os.setresuid(65534, 65534, 0)
        try:
            assert environment.get("SMTP_HOST") is None
            assert not problems.found
            environment.fill({"a": "${PING}"})
        finally:
            os.setresuid(0, 0, 0)
    (problem,) = problems.found
    assert f"into {closed} (which tocsin must be able to enter)," in problem.message


def test_the_default_database_is_the_last_resort(load: Load, secrets: Path) -> None:
    """TOCSIN_DEFAULT_DATABASE_URL, which compose.yml sets, holds where nothing else names one: no
    variable, no file, no ``[database] url``."""

    def url(text: str = "", **env: str) -> str:
        default = {"TOCSIN_DEFAULT_DATABASE_URL": "postgresql://beside/x"}
        found = history_of(load(text, **default, TOCSIN_SECRETS=str(secrets), **env)).url
        assert found is not None
        return found.reveal()

    said = '[database]\nurl = "postgresql://said/x"\n'
    file = secrets / "named"
    file.write_text("postgresql://filed/x\n")
    assert url() == "postgresql://beside/x"
    assert url(said, DATABASE_URL="", DATABASE_URL_FILE="") == "postgresql://said/x"
    assert url(said, DATABASE_URL="", DATABASE_URL_FILE=str(file)) == "postgresql://filed/x"
    assert url(said, DATABASE_URL="postgresql://set/x") == "postgresql://set/x"
    (secrets / "DATABASE_URL").write_text("postgresql://dropped/x")
    assert url(said) == "postgresql://dropped/x"
