"""Tokens: their file, their life, and the first admin."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from tests.running import Running
from tocsin.core.auth.admin_token import ensure_admin
from tocsin.core.auth.tokens import PREFIX, TokenInfo, TokenStore
from tocsin.core.contracts.route import Role
from tocsin.core.runtime.owned import write_private


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path / "tokens.db")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_each_role_covers_those_below() -> None:
    """viewer < operator < admin."""
    covers = {(a.value, b.value) for a in Role for b in Role if a.covers(b)}
    assert covers == {
        ("viewer", "viewer"), ("operator", "viewer"), ("operator", "operator"),
        ("admin", "viewer"), ("admin", "operator"), ("admin", "admin"),
    }  # fmt: skip


def test_only_the_hash_is_kept(store: TokenStore, tmp_path: Path) -> None:
    """A token has 256 random bits, is known by its SHA-256 only, in a file of its owner's alone."""
    plain = store.create("a", Role.VIEWER)
    other = store.create("b", Role.VIEWER)
    assert plain != other
    assert len(plain.removeprefix(PREFIX)) == 43  # 32 bytes in base64
    path = tmp_path / "tokens.db"
    assert mode(path) == 0o600
    assert plain.encode() not in path.read_bytes()
    assert hashlib.sha256(plain.encode()).hexdigest().encode() in path.read_bytes()
    found = store.find(plain)
    assert found is not None
    assert (found.name, found.role, found.state) == ("a", Role.VIEWER, "valid")
    assert found.hash not in repr(found)


@pytest.mark.parametrize("plain", ["", "tocsin_", "ü", "\udcff", "x" * 100_000])
def test_what_is_no_token_is_not_found(store: TokenStore, plain: str) -> None:
    """Anything else is nobody's token, whatever its characters."""
    store.create("a", Role.VIEWER)
    assert store.find(plain) is None


def test_tokens_expire_and_are_revoked(store: TokenStore) -> None:
    """After its time a token is expired, and a revoked one stays revoked; both are still named."""
    plain = store.create("short", Role.ADMIN, ttl=60)
    found = store.find(plain)
    assert found is not None
    now = datetime.now(UTC)
    assert found.state_at(now) == "valid"
    assert found.state_at(now + timedelta(seconds=61)) == "expired"
    store.revoke("short")
    found = store.find(plain)
    assert found is not None
    assert found.state_at(now + timedelta(seconds=61)) == "revoked"
    with pytest.raises(KeyError):
        store.revoke("short")
    with pytest.raises(KeyError):
        store.revoke("nobody")


def test_a_name_is_one_token_at_a_time(store: TokenStore) -> None:
    """A name that is in use is refused, and free again once its token is revoked."""
    first = store.create("ci", Role.VIEWER)
    with pytest.raises(ValueError, match="revoke it first"):
        store.create("ci", Role.ADMIN)
    store.revoke("ci")
    second = store.create("ci", Role.VIEWER)
    infos = [store.find(first), store.find(second)]
    assert [info.state for info in infos if info] == ["revoked", "valid"]
    store.revoke(str(store.all()[1].id))
    assert [info.state for info in store.all()] == ["revoked", "revoked"]


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 101, "\x1b[31m"])
def test_names_are_printable(store: TokenStore, name: str) -> None:
    """A name that would spoil a terminal or a log is refused."""
    with pytest.raises(ValueError, match="printable"):
        store.create(name, Role.VIEWER)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokens.db", b"{"),
        ("tokens.db", b"\xa5" * 8192),
        ("tokens.json", b"{"),  # of an earlier version
        ("tokens.json", b'[{"name": "\xff"}]'),
    ],
)
def test_a_damaged_file_is_told_and_left_alone(
    store: TokenStore, tmp_path: Path, name: str, content: bytes
) -> None:
    """A file that is no token file is an error that says what to do, and is not overwritten."""
    path = tmp_path / name
    path.write_bytes(content)
    for use in (
        lambda: store.find("x"),
        lambda: store.create("a", Role.VIEWER),
        lambda: ensure_admin(tmp_path, store),
    ):
        with pytest.raises(ValueError, match=f"{path} is damaged .*; restore it, or delete it"):
            use()
    assert path.read_bytes() == content
    assert not (tmp_path / "admin.token").exists()


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE tokens SET data = 5",
        "UPDATE tokens SET data = substr(data, 9)",
        "UPDATE tokens SET data = CAST(X'7B226E616D65223A22FF227D' AS BLOB)",
        "ALTER TABLE tokens RENAME TO others",
    ],
)
def test_a_file_with_other_content_is_damaged(
    store: TokenStore, tmp_path: Path, spoil: str
) -> None:
    """A database that does not hold tokens lets nobody in, and is not taken for an empty one."""
    plain = store.create("a", Role.ADMIN)
    with closing(sqlite3.connect(tmp_path / "tokens.db")) as db, db:
        db.execute(spoil)
    with pytest.raises(ValueError, match="is damaged"):
        store.find(plain)
    with pytest.raises(ValueError, match="is damaged"):
        store.create("b", Role.VIEWER)


def test_during_a_change_those_of_an_earlier_version_still_hold(
    store: TokenStore, tmp_path: Path
) -> None:
    """Another process takes them over, and begins the next change: nobody is locked out."""
    info = TokenInfo(
        id=uuid4(), name="a", role=Role.ADMIN, created_at=datetime.now(UTC),
        hash=hashlib.sha256(b"plain").hexdigest(),
    )  # fmt: skip
    (tmp_path / "tokens.json").write_bytes(msgspec.json.encode([info]))
    assert store.find("plain")
    TokenStore(tmp_path / "tokens.db").take_over()
    with closing(sqlite3.connect(tmp_path / "tokens.db", isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        assert store.find("plain")
        db.execute("ROLLBACK")
    assert store.find("plain")


def test_without_descriptors_tokens_hold_as_they_were_read(
    store: TokenStore, tmp_path: Path
) -> None:
    """Connections that are open already go on; a file that has changed meanwhile is an error."""
    plain = store.create("a", Role.ADMIN)
    assert store.find(plain)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    most = len(list(Path("/proc/self/fd").iterdir())) + 8
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        assert store.find(plain)
        os.utime(tmp_path / "tokens.db", (1, 1))
        with pytest.raises(OSError, match="Too many open files"):
            store.find(plain)
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert store.find(plain)


def test_a_file_that_comes_back_is_read(store: TokenStore, tmp_path: Path) -> None:
    """As when a volume was away for a moment: nothing of the file has changed meanwhile."""
    plain = store.create("a", Role.ADMIN)
    assert store.find(plain)
    (tmp_path / "tokens.db").rename(tmp_path / "away")
    assert store.find(plain) is None
    (tmp_path / "away").rename(tmp_path / "tokens.db")
    assert store.find(plain)


def test_a_change_that_is_not_finished_keeps_nobody_waiting(
    store: TokenStore, tmp_path: Path
) -> None:
    """While another process writes the file, what it held before holds, at once."""
    plain = store.create("a", Role.VIEWER)
    assert store.find(plain) is not None
    with closing(sqlite3.connect(tmp_path / "tokens.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        assert store.find(plain) is not None
        assert time.monotonic() - began < 1
        other.execute("DELETE FROM tokens")
        other.execute("COMMIT")
    assert store.find(plain) is None


def test_a_change_that_was_cut_off_hides_no_later_one(store: TokenStore, tmp_path: Path) -> None:
    """A command is killed half-way through writing the file: what it held before holds, and the
    next change is seen."""
    plain = store.create("a", Role.VIEWER)
    program = (
        "import os, signal, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('PRAGMA cache_size=1')\n"
        "db.execute('BEGIN')\n"
        "db.execute('CREATE TABLE more (data)')\n"
        "for n in range(99): db.execute('INSERT INTO more VALUES (zeroblob(4000))')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    file = tmp_path / "tokens.db"
    assert store.find(plain) is not None
    subprocess.run([sys.executable, "-c", program, str(file)])
    assert (tmp_path / "tokens.db-journal").exists()
    for _ in range(2):
        found = store.find(plain)
        assert found is not None
        assert found.state == "valid"
    TokenStore(file).revoke("a")
    found = store.find(plain)
    assert found is not None
    assert found.state == "revoked"


# What an earlier version left


def earlier(directory: Path) -> tuple[str, str]:
    """The files of a version that kept tokens as JSON; returns a good token and a revoked one."""
    tokens, plain = [], [f"tocsin_{n:043}" for n in range(2)]
    for n, revoked in enumerate((None, "2026-01-02T00:00:00Z")):
        tokens.append({
            "id": f"01930000-0000-7000-8000-00000000000{n}", "name": f"t{n}", "role": "operator",
            "hash": hashlib.sha256(plain[n].encode()).hexdigest(),
            "created_at": "2026-01-01T00:00:00Z", "expires_at": None, "revoked_at": revoked,
        })  # fmt: skip
    (directory / "tokens.json").write_text(json.dumps(tokens))
    (directory / "tokens.lock").touch()
    return plain[0], plain[1]


def states(store: TokenStore) -> list[tuple[str, str]]:
    return [(token.name, token.state) for token in store.all()]


def test_tokens_of_an_earlier_version_are_taken_over(store: TokenStore, tmp_path: Path) -> None:
    """At the first start they are moved, with what was revoked; commands know them before that."""
    good, revoked = earlier(tmp_path)
    assert states(store) == [("t0", "valid"), ("t1", "revoked")]
    assert (tmp_path / "tokens.json").exists()
    ensure_admin(tmp_path, store)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"tokens.db", "admin.token"}
    assert mode(tmp_path / "tokens.db") == 0o600
    assert states(store) == [("t0", "valid"), ("t1", "revoked"), ("admin", "valid")]
    found = store.find(good), store.find(revoked)
    assert [info.role for info in found if info] == [Role.OPERATOR, Role.OPERATOR]


def test_a_crash_while_tokens_are_taken_over_loses_and_revives_nothing(
    store: TokenStore, tmp_path: Path
) -> None:
    """Killed before the commit, the old file holds; after it, the new one does, though the old one
    is still there: what was revoked since stays revoked."""
    good, _ = earlier(tmp_path)
    old = (tmp_path / "tokens.json").read_bytes()
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from tocsin.core.auth.tokens import TokenStore\n"
        "with TokenStore(Path(sys.argv[1]))._changing(): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path / "tokens.db")])
    assert killed.returncode == -signal.SIGKILL
    assert states(store) == [("t0", "valid"), ("t1", "revoked")]
    store.take_over()
    store.revoke("t0")
    (tmp_path / "tokens.json").write_bytes(old)  # as if it had not come to deleting it
    again = TokenStore(tmp_path / "tokens.db")
    for _ in range(2):
        assert states(again) == [("t0", "revoked"), ("t1", "revoked")]
        again.take_over()
    assert not (tmp_path / "tokens.json").exists()
    found = again.find(good)
    assert found is not None
    assert found.state == "revoked"


def test_tokens_of_an_earlier_version_hold_where_nothing_can_be_written(small_disk: Path) -> None:
    """On a read-only file system they are read from their old file."""
    good, _ = earlier(small_disk)
    (small_disk / "admin.token").write_text(good)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    store = TokenStore(small_disk / "tokens.db")
    store.take_over()
    assert store.find(good) is not None
    with pytest.raises(OSError, match="Read-only"):
        store.create("new", Role.VIEWER)


def test_processes_that_change_the_file_at_once_lose_nothing(
    store: TokenStore, tmp_path: Path
) -> None:
    """Tokens made by several processes at the same time are all there, and all seen by another."""
    program = (
        "import sys; from pathlib import Path\n"
        "from tocsin.core.auth.tokens import Role, TokenStore\n"
        "store = TokenStore(Path(sys.argv[1]))\n"
        "for n in range(10): store.create(f'{sys.argv[2]} {n}', Role.VIEWER)\n"
    )
    assert store.all() == ()
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "tokens.db"), str(n)])
        for n in range(3)
    ]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    assert {info.name for info in store.all()} == {f"{p} {n}" for p in range(3) for n in range(10)}


def test_private_files_are_private_whatever_was_there(tmp_path: Path) -> None:
    """A file left behind by a crash, open to all, does not hand its mode on."""
    (tmp_path / "x.partial").write_text("old")
    (tmp_path / "x.partial").chmod(0o666)
    write_private(tmp_path / "x.token", b"new")
    assert mode(tmp_path / "x.token") == 0o600
    assert (tmp_path / "x.token").read_bytes() == b"new"


def test_the_first_start_makes_an_admin_once(store: TokenStore, tmp_path: Path) -> None:
    """The admin token lies in a private file, is good, and is the same at the next start."""
    path = ensure_admin(tmp_path, store)
    plain = path.read_text().strip()
    found = store.find(plain)
    assert found is not None
    assert (found.role, found.state) == (Role.ADMIN, "valid")
    assert mode(path) == 0o600
    path.chmod(0o644)
    assert ensure_admin(tmp_path, store).read_text().strip() == plain
    assert mode(path) == 0o600
    assert len(store.all()) == 1


@pytest.mark.parametrize("damage", ["revoked", "gone", "foreign", "no text"])
def test_a_lost_admin_token_is_replaced(store: TokenStore, tmp_path: Path, damage: str) -> None:
    """Where the file's token is good no more, the next start makes another that is."""
    path = ensure_admin(tmp_path, store)
    if damage == "revoked":
        store.revoke("admin")
    elif damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"tocsin_x" if damage == "foreign" else b"\xff\xfe")
    found = store.find(ensure_admin(tmp_path, store).read_text().strip())
    assert found is not None
    assert (found.role, found.state) == (Role.ADMIN, "valid")


def test_without_room_there_is_no_token_that_nobody_knows(small_disk: Path) -> None:
    """On a full disk no admin token is made, not half of one; with room again there is one."""
    store = TokenStore(small_disk / "tokens.db")
    with (small_disk / "ballast").open("wb", buffering=0) as ballast:
        with suppress(OSError):
            while True:
                ballast.write(b"x" * 512)
        with pytest.raises(OSError, match="No space left"):
            ensure_admin(small_disk, store)
        assert store.all() == ()
        assert list(small_disk.glob("*.partial")) == []
    (small_disk / "ballast").unlink()
    found = store.find(ensure_admin(small_disk, store).read_text().strip())
    assert found is not None
    assert [token.name for token in store.all()] == ["admin"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tokens.db", "tokens.json"])
def test_the_commands_say_what_is_wrong_with_the_file(tmp_path: Path, name: str) -> None:
    """A damaged tokens file stops start and token commands with one line that says what to do."""
    tocsin = Running(tmp_path, "[sources.docker]\nenabled = false\n")
    tocsin.data.mkdir(exist_ok=True)
    (tocsin.data / name).write_text("{")
    for arguments in (
        ("run",), ("token", "list"), ("token", "revoke", "x"), ("token", "create", "x"),
    ):  # fmt: skip
        done = tocsin.run(*arguments)
        assert done.returncode != 0
        assert "is damaged" in done.stderr
        assert "fault" not in done.stderr
    assert not (tocsin.data / "admin.token").exists()
