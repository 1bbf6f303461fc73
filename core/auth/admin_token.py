"""The tokens that tocsin creates for itself, in files that only their owner can read."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from tocsin.core.auth.tokens import TokenStore
from tocsin.core.contracts.route import Role


def ensure_admin(data_dir: Path, tokens: TokenStore) -> Path:
    """Create an admin token in ``admin.token`` (mode 0600) if that file holds no valid one.

    Returns:
        The path of ``admin.token``.

    Raises:
        OSError: the files cannot be read or written.
        ValueError: the file of tokens is damaged.
    """
    tokens.take_over()
    path = data_dir / "admin.token"
    ensure_token(path, tokens, "admin", Role.ADMIN)
    return path


def ensure_token(path: Path, tokens: TokenStore, name: str, role: Role) -> None:
    """Ensure that ``path`` holds a valid token of a role and is readable by its owner only.

    Raises:
        OSError: the files cannot be read or written.
        ValueError: the file of tokens is damaged.
    """
    now = datetime.now(UTC)
    try:
        known = tokens.find(path.read_bytes().decode("utf-8", "surrogateescape").strip())
        with suppress(OSError):  # the file system may be read-only
            path.chmod(0o600)
    except FileNotFoundError:
        known = None
    if known is None or known.role is not role or known.state_at(now) != "valid":
        if any(token.name == name for token in tokens.all()):
            name = f"{name} {now:%Y-%m-%d %H:%M:%S}"
        tokens.create(name, role, keep=path)
