"""Servers on loopback, and notifiers that send to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from tests.mail import MailServer
from tests.receiver import Receiver
from tocsin import Secret
from tocsin_apprise.notifier import AppriseChannel, AppriseNotifier, BodyFormat

Make = Callable[..., AppriseChannel]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A web server that takes everything."""
    made = Receiver()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    """A mail server; the test starts it."""
    made = MailServer()
    yield made
    await made.stop()


def notifier(
    *urls: str, timeout: float = 20.0, body_format: BodyFormat = BodyFormat.AUTO
) -> AppriseChannel:
    """Return a channel for some URLs."""
    secrets = tuple(Secret(url) for url in urls)
    return AppriseChannel(AppriseNotifier(urls=secrets, timeout=timeout, body_format=body_format))
