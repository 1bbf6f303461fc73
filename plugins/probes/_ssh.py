"""Engines on other machines by ``ssh://``, an extra: what it needs, and what can go wrong."""

from __future__ import annotations

import importlib.util

import docker

TROUBLE: tuple[type[Exception], ...] = ()
"""What paramiko raises besides OSError when a host cannot be reached or lets nobody in."""

if importlib.util.find_spec("paramiko"):  # the SDK has imported it already
    import paramiko

    TROUBLE = (paramiko.SSHException, EOFError)


def lacking(address: str | None) -> str | None:
    """What has to be installed for an engine's address, as a sentence, or None."""
    if address is None or not address.startswith("ssh://") or importlib.util.find_spec("paramiko"):
        return None
    return "ssh:// needs paramiko, which is not installed: pip install 'tocsin[ssh]'"


def explained(address: str, trouble: str) -> str:
    """What went wrong on the way to an engine, plainer where ssh is why."""
    ended = "Remote end closed" in trouble or "Socket is closed" in trouble
    if address.startswith("ssh://") and ended:
        return (
            "the host lets tocsin in, but 'docker system dial-stdio' says nothing there; "
            "install docker, and let that user use it"
        )
    return trouble


def share_channels(api: docker.APIClient) -> None:
    """Let all calls of a client by ssh share channels. The SDK opens some for each URL, so for each
    container, and an sshd lets only ten be open at once (MaxSessions)."""
    adapter = vars(api)["_custom_adapter"]
    connection, base = adapter.get_connection, api.base_url
    adapter.pools.clear()
    adapter.get_connection = lambda url, proxies=None: connection(base, proxies)
