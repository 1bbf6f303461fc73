"""Who may do what: bearer tokens with roles, kept as hashes in one small file."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from uuid import UUID

import msgspec
from attrs import define, evolve, field, frozen

from tocsin.core.clock import Clock
from tocsin.core.ids import new_id

PREFIX = "tocsin_"
"""Tokens can be told at sight, by people and by secret scanners."""

TOKEN_BYTES = 32
"""256 random bits."""


class Role(StrEnum):
    """Each role may do what the one before may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """0 for the least."""
        return list(Role).index(self)

    def covers(self, needed: Role) -> bool:
        """Whether this role may do what ``needed`` may."""
        return self.rank >= needed.rank


@frozen(kw_only=True)
class TokenInfo:
    """A token without the token: times are aware UTC, ``hash`` is SHA-256 in hex."""

    id: UUID
    name: str
    role: Role
    hash: str = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def state(self) -> str:
        """``valid``, ``expired`` or ``revoked``."""
        return self.state_at(datetime.now(UTC))

    def state_at(self, now: datetime) -> str:
        """The state at a moment."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


class TokenStore:
    """The tokens' file. The command line changes it while a server reads it: changes are atomic and
    locked, and the server looks at the file's stamp before each use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._tokens: tuple[TokenInfo, ...] = ()

    def all(self) -> tuple[TokenInfo, ...]:
        """All tokens, oldest first. Raises OSError, ValueError for a file that cannot be used."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._tokens = None, ()
            return ()
        stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if stamp != self._stamp:
            try:
                tokens = msgspec.json.decode(self._path.read_bytes(), type=tuple[TokenInfo, ...])
            except msgspec.MsgspecError as error:
                raise ValueError(
                    f"{self._path} is damaged ({error}); restore it, or delete it and start tocsin "
                    "anew for a new admin token"
                ) from error
            self._stamp, self._tokens = stamp, tokens
        return self._tokens

    def create(
        self, name: str, role: Role, ttl: float | None = None, keep: Path | None = None
    ) -> str:
        """Make a token that is good for ``ttl`` seconds (None: for good); returns it in plain.

        ``keep``: a private file to put it into first. Where that cannot be written there is no
        token either, and not one that nobody knows.

        Raises:
            ValueError: the name is taken by a valid token, or is no name.
            OSError: the files cannot be written.
        """
        if not name or len(name) > 100 or not name.isprintable():
            raise ValueError("a token's name has 1 to 100 printable characters")
        now = datetime.now(UTC)
        plain = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        with self._changing() as tokens:
            if any(t.name == name and t.state_at(now) == "valid" for t in tokens):
                raise ValueError(
                    f"there is a token called {name!r}; revoke it first, or choose another"
                )
            tokens.append(
                TokenInfo(
                    id=new_id(),
                    name=name,
                    role=role,
                    hash=_hash(plain),
                    created_at=now,
                    expires_at=None if ttl is None else now + timedelta(seconds=ttl),
                )
            )
            if keep is not None:
                write_private(keep, (plain + "\n").encode())
        return plain

    def revoke(self, name: str) -> None:
        """Make the tokens of that name (or id) useless. Raises KeyError where there is none."""
        now = datetime.now(UTC)
        with self._changing() as tokens:
            found = [
                n
                for n, token in enumerate(tokens)
                if name in (token.name, str(token.id)) and token.revoked_at is None
            ]
            if not found:
                raise KeyError(name)
            for n in found:
                tokens[n] = evolve(tokens[n], revoked_at=now)

    def find(self, plain: str) -> TokenInfo | None:
        """The token, whatever its state; the time it takes tells nothing of the stored hashes."""
        digest = _hash(plain)
        found = None
        for token in self.all():
            if hmac.compare_digest(token.hash.encode(), digest.encode()):
                found = token
        return found

    @contextmanager
    def _changing(self) -> Iterator[list[TokenInfo]]:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tokens = list(self.all())
            yield tokens
            write_private(self._path, msgspec.json.encode(tokens))


def write_private(path: Path, data: bytes) -> None:
    """Put a file in place whole or not at all, readable by its owner only."""
    partial = path.with_suffix(".partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)  # also where a crash left a file with another mode behind
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise


def ensure_admin(data_dir: Path, tokens: TokenStore) -> Path:
    """At the first start, make an admin token and keep it in ``admin.token``, mode 0600.

    Also when that file holds a token that is good no more. Returns the file's path.

    Raises:
        OSError, ValueError: the files cannot be read or written, or are damaged.
    """
    path = data_dir / "admin.token"
    ensure_token(path, tokens, "admin", Role.ADMIN)
    return path


def ensure_token(path: Path, tokens: TokenStore, name: str, role: Role) -> None:
    """See that ``path`` holds a good token of that role, readable by its owner only.

    Raises:
        OSError, ValueError: the files cannot be read or written, or are damaged.
    """
    now = datetime.now(UTC)
    try:
        known = tokens.find(path.read_bytes().decode("utf-8", "surrogateescape").strip())
        with suppress(OSError):  # on a file system that cannot be written
            path.chmod(0o600)
    except FileNotFoundError:
        known = None
    if known is None or known.role is not role or known.state_at(now) != "valid":
        if any(token.name == name for token in tokens.all()):
            name = f"{name} {now:%Y-%m-%d %H:%M:%S}"
        tokens.create(name, role, keep=path)


def _hash(plain: str) -> str:
    # What came as a header may be any bytes; aiohttp hands the odd ones on as surrogates.
    return hashlib.sha256(plain.encode("utf-8", "surrogateescape")).hexdigest()


@define
class FailureLimit:
    """Counts refused tokens per address; past ``limit`` within ``window`` seconds it is too much.

    A good token is never refused for its address: with 256 random bits guessing is hopeless, the
    limit only keeps the noise, and its cost, down.
    """

    clock: Clock
    limit: int = 20
    window: float = 60.0
    addresses: int = 10_000
    _failures: OrderedDict[str, list[float]] = field(factory=OrderedDict)

    def failed(self, address: str) -> float:
        """Count a failure; returns the seconds to wait, 0 while it is not too much."""
        now = self.clock.monotonic()
        times = [t for t in self._failures.pop(address, []) if now - t < self.window]
        times.append(now)
        self._failures[address] = times[-self.limit - 1 :]
        while len(self._failures) > self.addresses:
            self._failures.popitem(last=False)
        return 0.0 if len(times) <= self.limit else self.window - (now - times[0])
