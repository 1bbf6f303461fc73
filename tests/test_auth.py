"""Tokens: their file, their life, and the first admin."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.running import Running
from tocsin.core.auth import PREFIX, Role, TokenStore, ensure_admin, write_private


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path / "tokens.json")


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
    path = tmp_path / "tokens.json"
    assert mode(path) == 0o600
    assert plain not in path.read_text()
    assert json.loads(path.read_text())[0]["hash"] == hashlib.sha256(plain.encode()).hexdigest()
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


def test_a_damaged_file_is_told_and_left_alone(store: TokenStore, tmp_path: Path) -> None:
    """A file that is no token file is an error that says what to do, and is not overwritten."""
    path = tmp_path / "tokens.json"
    path.write_text("{")
    with pytest.raises(ValueError, match="is damaged"):
        store.find("x")
    with pytest.raises(ValueError, match="is damaged"):
        store.create("a", Role.VIEWER)
    assert path.read_text() == "{"


def test_processes_that_change_the_file_at_once_lose_nothing(
    store: TokenStore, tmp_path: Path
) -> None:
    """Tokens made by several processes at the same time are all there, and all seen by another."""
    program = (
        "import sys; from pathlib import Path; from tocsin.core.auth import Role, TokenStore\n"
        "store = TokenStore(Path(sys.argv[1]))\n"
        "for n in range(10): store.create(f'{sys.argv[2]} {n}', Role.VIEWER)\n"
    )
    assert store.all() == ()
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "tokens.json"), str(n)])
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
    store = TokenStore(small_disk / "tokens.json")
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
def test_the_commands_say_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    """A damaged tokens file stops start and token commands with one line that says what to do."""
    tocsin = Running(tmp_path, "[sources.docker]\nenabled = false\n")
    tocsin.data.mkdir(exist_ok=True)
    (tocsin.data / "tokens.json").write_text("{")
    for arguments in (
        ("run",), ("token", "list"), ("token", "revoke", "x"), ("token", "create", "x"),
    ):  # fmt: skip
        done = tocsin.run(*arguments)
        assert done.returncode != 0
        assert "is damaged" in done.stderr
        assert "fault" not in done.stderr
    assert not (tocsin.data / "admin.token").exists()
