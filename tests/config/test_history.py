"""The table ``[database]``: which history is kept, and what is told if none is."""

from __future__ import annotations

import pytest
from attrs import frozen

from tests.config.conftest import Entry, Load, Shelves, Wrong, history_of
from tocsin.core.config import load_config, redacted
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.plugin.manager import PluginManager
from tocsin.plugins.history import PostgresHistory


@frozen(kw_only=True)
class Other(PostgresHistory):
    """A history of a third party."""

    nodes: int = 1


def test_the_first_history_is_kept_unless_another_is_named(load: Load, catalog: Shelves) -> None:
    """tocsin's own comes first: that another is installed changes nothing. Each has options of its
    own."""
    catalog.histories["other"] = Entry(Other, "third")
    plain = load("", DATABASE_URL="postgresql://u:p@h/d").database
    assert (plain.name, plain.plugin, type(plain.store)) == (
        "postgresql", "history", PostgresHistory,
    )  # fmt: skip
    named = load('[database]\nhistory = "other"\nnodes = 3\n').database
    assert (named.name, named.plugin, named.store) == ("other", "third", Other(nodes=3))


def test_no_history_of_a_name_is_an_error(wrong: Wrong) -> None:
    """A name that no plugin provides, and a value that is no name, are told with their place."""
    (problem,) = wrong('[database]\nhistory = "postgresq"\n')
    assert problem.path == "database.history"
    assert "no history is called 'postgresq'" in problem.message
    assert "postgresql" in problem.message
    (problem,) = wrong("[database]\nhistory = 3\n")
    assert (problem.path, problem.line) == ("database.history", 2)


def test_a_history_that_was_not_loaded_is_a_warning(load: Load) -> None:
    """tocsin starts without it: checks and alerts are needed all the same."""
    found = load('[database]\nhistory = "dns"\nurl = "postgresql://u:hunter2-x@h/d"\n')
    assert found.database.store is None
    assert found.warnings == ("no history is kept: plugin 'dns' failed: ImportError",)
    assert "hunter2-x" not in str(redacted(found))


def test_without_any_history_a_configuration_loads(load: Load, catalog: Shelves) -> None:
    """Its plugin is disabled: that is a way to run."""
    catalog.histories.clear()
    assert load("").database.store is None
    assert load("").warnings == ()


def test_a_history_that_is_not_allowed_is_a_warning() -> None:
    """A list of allowed plugins that was written when history was no plugin is told about."""
    manager = PluginManager(PluginSettings(allowed=("down",)))
    manager.load()
    found = load_config(None, {}, manager)
    assert found.database.store is None
    (warning,) = (each for each in found.warnings if "history" in each)
    assert warning.startswith("no history is kept: no plugin provides one, but plugin ")
    assert warning.endswith("is disabled: not named in [plugins] allowed")


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ('retention = "1h"', "database.retention", "must be at least '1d'"),
        ("spool = 3", "database.spool", "there is no such option"),
        ('url = "mysql://h/d"', "database.url", "must have the form postgresql://"),
    ],
)
def test_options_are_checked(wrong: Wrong, text: str, path: str, message: str) -> None:
    """By the plugin, with the place in the file."""
    (problem,) = wrong(f"[database]\n{text}\n")
    assert (problem.path, problem.line) == (path, 2)
    assert message in problem.message


def test_a_variable_that_is_wrong_is_named(wrong: Wrong) -> None:
    """Whichever of the two gave the value."""
    for name in ("DATABASE_URL", "TOCSIN_DEFAULT_DATABASE_URL"):
        (problem,) = wrong("", **{name: "mysql://h/d"})
        assert (problem.file, problem.path) == ("environment", name)


def test_what_is_shown_has_no_secret(load: Load) -> None:
    """The options are shown with their defaults, without the password."""
    shown = redacted(load('[database]\nurl = "postgresql://u:hunter2-x@h/d"\n'))["database"]
    assert shown == {
        "url": "***", "retention": 2592000.0, "retention_minutes": 7776000.0,
        "spool_size": 256000000,
    }  # fmt: skip


def test_its_options_are_the_plugins_own(load: Load) -> None:
    """They are built with its class."""
    assert history_of(load('[database]\nretention = "7d"\n')).retention == 7 * 86400


def test_a_history_whose_plugin_runs_in_a_host_is_a_fault_of_it_if_it_is_named(load: Load) -> None:
    """The plugin fails with the remedy; one that is only installed does not."""
    assert load("").unbuilt() == {}
    found = load('[database]\nhistory = "past"\nurl = "postgresql://u:hunter2-x@h/d"\n')
    clause = (
        "provides a history, which runs in tocsin's own process: name the plugin in [plugins] "
        "inline"
    )
    assert found.unbuilt() == {"past": f"{clause} (history past)"}
    assert found.warnings == (f"no history is kept: plugin 'past' {clause}",)
    assert "hunter2-x" not in str(redacted(found))
