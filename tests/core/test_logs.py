"""The log file beside the stream."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.contexts import contexts
from tocsin.core import logs
from tocsin.core.cli.main import cli
from tocsin.core.config import ConfigError, load_config
from tocsin.core.config.core_settings import LogSettings, PluginSettings
from tocsin.core.hiding import know
from tocsin.core.logs import configure, get_logger
from tocsin.core.plugin.contexts import RuntimeContext
from tocsin.core.plugin.manager import PluginManager


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:], root.level = handlers, level


def test_logs_go_into_a_file_besides(tmp_path: Path) -> None:
    """The stream and the file have the same lines, as JSON in the file; secrets are in neither."""
    know(["hunter2hunter2"])
    stream, file = io.StringIO(), tmp_path / "deep" / "tocsin.log"
    configure(LogSettings(file=file), stream)
    get_logger("x").info("it is hunter2hunter2", password="another", number=7)
    said = json.loads(file.read_text())
    assert said == json.loads(stream.getvalue())
    assert (said["event"], said["password"], said["number"]) == ("it is ***", "***", 7)


def test_a_file_that_is_full_is_put_aside(tmp_path: Path) -> None:
    """No more than ``keep`` full ones are kept, and none grows past its size."""
    file = tmp_path / "tocsin.log"
    configure(LogSettings(file=file, max_size=10_000, keep=2), io.StringIO())
    for number in range(600):
        get_logger("x").info("a line", number=number)
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["tocsin.log", "tocsin.log.1", "tocsin.log.2"]
    assert all(path.stat().st_size <= 10_000 for path in files)
    assert json.loads(file.read_text().splitlines()[-1])["number"] == 599


def test_a_file_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    """``tocsin run`` ends before anything is watched, and names the file and the remedy."""
    (tmp_path / "file").write_text("")
    env = {"TOCSIN_LOG_FILE": str(tmp_path / "file/x.log"), "TOCSIN_DATA_DIR": str(tmp_path)}
    done = CliRunner().invoke(cli, ["run"], env=env)
    assert done.exit_code == 1
    assert f"the log file {tmp_path}/file/x.log cannot be written" in done.output
    assert "TOCSIN_LOG_FILE" in done.output


def test_sizes_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    """A file that would be put aside at every line is a mistake, and told as one."""
    path = tmp_path / "tocsin.toml"
    path.write_text('[log]\nmax_size = "1KB"\nkeep = -1\n')
    plugins = PluginManager(PluginSettings())
    with pytest.raises(ConfigError) as caught:
        load_config(path, {}, plugins)
    told = "\n".join(str(problem) for problem in caught.value.problems)
    assert "log.max_size" in told
    assert "log.keep" in told


def test_no_plugin_fills_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one package, and of one event of ours, so many lines a minute are written; that more were
    left out is said at once, and how many when the minute is over. Others are written as ever."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    configure(LogSettings(), stream)
    for number in range(4000):
        logging.getLogger(f"stranger.part{number}").warning("line %s", number)
        if number < 2500:
            get_logger("tocsin.core.x").error("the same again", number=number)
    get_logger("tocsin.core.x").error("something else")
    lines = stream.getvalue().splitlines()
    assert len(lines) == logs.MOST_THEIRS + logs.MOST_OURS + 3
    assert sum("writes too much" in line for line in lines) == 2
    assert "something else" in lines[-1]
    now[0] += 61
    logging.getLogger("stranger").warning("again")
    assert "3000 lines of stranger were left out" in stream.getvalue()
    assert "again" in stream.getvalue().splitlines()[-1]


def test_many_names_of_loggers_count_together() -> None:
    """A plugin that makes a name for each line gets no further by it."""
    stream = io.StringIO()
    configure(LogSettings(), stream)
    for number in range(2500):
        logging.getLogger(f"stranger{number}").warning("a line")
    assert len(stream.getvalue().splitlines()) < logs.MOST_SOURCES + logs.MOST_THEIRS + 10


def test_the_log_that_a_plugin_is_given_is_bounded_too() -> None:
    """However its lines differ, they count together; and third parties, whatever names they use,
    leave room for the core's own events."""
    stream = io.StringIO()
    configure(LogSettings(), stream)
    log = RuntimeContext("p", "site/x", contexts(), None, None).log  # type: ignore[arg-type]
    for number in range(3000):
        log.warning(f"text {number}")
    lines = stream.getvalue().splitlines()
    assert len(lines) == logs.MOST_THEIRS + 1
    for number in range(2 * logs.MOST_SOURCES):
        logging.getLogger(f"stranger{number}").warning("a line")
    for number in range(300):
        get_logger("tocsin.core.app").error(f"event {number}")
    assert "event 299" in stream.getvalue().splitlines()[-1]


def test_a_line_of_megabytes_is_cut() -> None:
    """Whatever is written, as text, as an argument, or as an error."""
    stream = io.StringIO()
    configure(LogSettings(), stream)
    logging.getLogger("stranger").warning("x" * 5_000_000)
    logging.getLogger("stranger").warning("%s", "y\n" * 2_500_000)
    try:
        raise ValueError("z" * 5_000_000)
    except ValueError:
        logging.getLogger("stranger").exception("w" * 5_000_000)
    assert len(stream.getvalue()) < 200_000
