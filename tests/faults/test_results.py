"""Which runs are done, what is kept of them, and what the table says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from tests.faults import results as module
from tests.faults.fault import Fault, all_rows
from tests.faults.records import MUST_BE_ZERO, Verdict
from tests.faults.results import Commit, Results, Run, table
from tests.faults.script import TARGETS, Script

CLEAN = Commit("abc", dirty=False)
GOOD = Run(row="killed", seed=1, short=False, verdict=Verdict(changes=4, notice=1.0, recover=2.0))
BAD = Run(row="killed", seed=2, short=False, verdict=Verdict(lost=2, notice=3.5, notes=("x",)))
ERROR = Run(row="killed", seed=3, short=False, error="no room")


def test_runs_of_a_clean_commit_are_done_once(tmp_path: Path) -> None:
    """Another invocation finds them again, verdict and all; another commit, a tree with changes,
    and another version of the harness do not."""
    path = tmp_path / "new" / "results.jsonl"
    first = Results(path, CLEAN)
    first.add(GOOD)
    first.add(BAD)
    again = Results(path, CLEAN)
    assert list(again.runs.values()) == [GOOD, BAD]
    assert again.is_done(GOOD.key)
    assert again.is_done(BAD.key)
    assert not again.is_done(("killed", 1, True))
    assert Results(path, Commit("def", dirty=False)).runs == {}
    assert Results(path, Commit("abc", dirty=True)).runs == {}


def test_runs_of_another_version_of_the_harness_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures that were counted in another way are not summed with these."""
    Results(tmp_path / "r", CLEAN).add(GOOD)
    monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    assert Results(tmp_path / "r", CLEAN).runs == {}


def test_runs_of_a_changed_tree_are_written_down_and_never_done(tmp_path: Path) -> None:
    """Nobody knows what they ran."""
    Results(tmp_path / "r", Commit("abc", dirty=True)).add(GOOD)
    assert '"dirty": true' in (tmp_path / "r").read_text()
    assert Results(tmp_path / "r", CLEAN).runs == {}


def test_an_error_is_no_pass_and_is_made_again(tmp_path: Path) -> None:
    """It is kept with its reason, and gives way to a verdict, but not the other way round."""
    results = Results(tmp_path / "r", CLEAN)
    results.add(ERROR)
    assert not results.is_done(ERROR.key)
    assert not results.is_good()
    made = Run(row="killed", seed=3, short=False, verdict=Verdict())
    results.add(made)
    assert results.is_done(made.key)
    assert results.is_good()
    results.add(ERROR)
    assert Results(tmp_path / "r", CLEAN).runs[made.key] == made


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    """Whatever ended the process that wrote it."""
    path = tmp_path / "r"
    Results(path, CLEAN).add(GOOD)
    with path.open("a") as file:
        file.write('{"version": ')
    assert list(Results(path, CLEAN).runs.values()) == [GOOD]


@pytest.mark.parametrize("name", MUST_BE_ZERO)
def test_each_count_that_must_be_zero_fails_the_invocation(tmp_path: Path, name: str) -> None:
    """One is enough."""
    results = Results(tmp_path / "r", CLEAN)
    changed: Any = {name: 1}
    results.add(Run(row="killed", seed=1, short=False, verdict=evolve(Verdict(), **changed)))
    assert not results.is_good()


def test_the_table_sums_counts_and_takes_the_longest_times() -> None:
    """One line for a row; an error is counted beside n, the runs that could be judged."""
    head, line = table([GOOD, BAD, ERROR]).splitlines()
    cells = dict(zip(head.replace("same id", "same").split(), line.split(), strict=False))
    assert {name: cells[name] for name in ("row", "n", "errors", "changes", "lost")} == {
        "row": "killed", "n": "2", "errors": "1", "changes": "4", "lost": "2",
    }  # fmt: skip
    assert line.split()[-3:] == ["3.50", "2.00", "-"]


def test_a_seed_gives_the_same_script_and_another_seed_another() -> None:
    """In both forms; the fault is within the script, and the first target never fails."""
    assert Script.of(1) == Script.of(1)
    assert Script.of(1) != Script.of(2)
    for seed in range(50):
        for short in (False, True):
            script = Script.of(seed, short=short)
            assert 0 < script.begins < script.ends < script.seconds
            assert TARGETS[0] not in script.failures
            assert all(since > 0 for since, _ in script.failures.values())
            assert all(until is None or since < until for since, until in script.failures.values())


def test_every_row_says_what_it_does() -> None:
    """In one sentence; the table names it by ``name``."""
    for name, row in all_rows().items():
        assert row.name == name
        assert issubclass(row, Fault)
        assert (row.__doc__ or "").partition("\n\n")[0].strip().endswith(".")
