"""Access to remote Docker engines by ``ssh://``, which needs the optional extra ``ssh``."""

from __future__ import annotations

import importlib.util

import docker

TROUBLE: tuple[type[Exception], ...] = ()
"""Exceptions besides OSError that paramiko raises if it cannot connect or log in."""

if importlib.util.find_spec("paramiko"):  # the SDK has imported it already
    import paramiko

    TROUBLE = (paramiko.SSHException, EOFError)


def lacking(address: str | None) -> str | None:
    """Return a sentence that names the package missing for this address, or None."""
    if address is None or not address.startswith("ssh://") or importlib.util.find_spec("paramiko"):
        return None
    return "ssh:// needs paramiko, which is not installed: pip install 'tocsin[ssh]'"


def explained(address: str, trouble: str) -> str:
    """Return the connection error, replaced by its probable cause and remedy if ssh is involved."""
    ended = "Remote end closed" in trouble or "Socket is closed" in trouble
    if address.startswith("ssh://") and ended:
        return (
            "the SSH login works, but 'docker system dial-stdio' gives no answer on that host; "
            "install docker there, and allow that user to use it"
        )
    return trouble


def share_channels(api: docker.APIClient) -> None:
    """Make all calls of an ssh client share one pool of channels.

    The SDK opens a pool for each URL, hence for each container, and sshd allows only ten open
    sessions for each connection by default (``MaxSessions`` in sshd_config(5)).
    """
    adapter = vars(api)["_custom_adapter"]
    connection, base = adapter.get_connection, api.base_url
    adapter.pools.clear()
    adapter.get_connection = lambda url, proxies=None: connection(base, proxies)
