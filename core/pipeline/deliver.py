"""Stage 6: deliver, with deadline, backoff, the provider's own wishes, and an end to patience."""

from __future__ import annotations

import random
from typing import Protocol

from attrs import define, evolve, frozen

from tocsin.core.config.settings import ChannelSettings
from tocsin.core.hiding import clean
from tocsin.core.isolation import Isolation, PluginFault
from tocsin.core.notices import LONGEST_REST, Message, NotifyError, Receipt

GRACE = 1.0
"""Seconds beyond the notifier's own timeout."""

BACKOFF = (1.0, 300.0)
"""Seconds before the second attempt, doubled each time, and the longest."""

FALLBACK_AFTER = 300.0
"""Seconds of failing after which the fallback channel is told as well."""

MOST_FAULTS = 8
"""Attempts in a row, over about two minutes, that end in a fault of the notifier: that is no
outage, and others wait behind a message that will never go out."""

MAX_RETRY_AFTER = LONGEST_REST


@frozen(kw_only=True)
class Failure:
    """An attempt that did not deliver. ``retry_after``: seconds the provider asked for; ``fault``:
    the notifier itself broke, which no outage explains."""

    message: str
    permanent: bool = False
    disable: bool = False
    retry_after: float | None = None
    fault: bool = False


class Sender(Protocol):
    """One attempt."""

    async def __call__(self, message: Message) -> Receipt | Failure:
        """Try once. Never raises but for cancellation."""


@define
class Attempt:
    """Hands a message to a channel's notifier. What comes back is the provider's text as well, and
    may repeat what it was sent: it is kept without secrets and control characters."""

    settings: ChannelSettings
    isolation: Isolation

    async def __call__(self, message: Message) -> Receipt | Failure:
        """Try once."""
        notifier, plugin = self.settings.notifier, self.settings.plugin or ""
        if notifier is None:
            return Failure(message=self.settings.broken or "it has no notifier", permanent=True)
        try:
            receipt = await self.isolation.call(
                plugin, lambda: notifier.send(message), notifier.timeout + GRACE
            )
            if not isinstance(receipt, Receipt):
                kind = type(receipt).__name__
                raise PluginFault(f"returned {kind} from send, not a Receipt")
        except NotifyError as error:
            return Failure(
                message=clean(str(error)),
                permanent=error.permanent,
                disable=error.disable,
                retry_after=error.retry_after,
            )
        except PluginFault as fault:
            if fault.severe:
                self.isolation.reset(plugin, fault)
            # What the network does to a notifier that lets it through passes by itself.
            outage = isinstance(fault.__cause__, OSError)
            return Failure(message=clean(f"plugin {plugin} {fault}"), fault=not outage)
        except TimeoutError:
            return Failure(message=f"no answer within {notifier.timeout:g} s")
        return evolve(receipt, answer=clean(receipt.answer))


def backoff(attempts: int, failure: Failure) -> float:
    """Seconds until the next attempt, after ``attempts`` failed ones; never less than the provider
    asked for. With jitter, so that what failed together does not come back together."""
    wait = min(BACKOFF[0] * 2.0 ** min(attempts - 1, 20), BACKOFF[1])
    wait *= random.uniform(0.75, 1.25)  # noqa: S311 - no secret
    if failure.retry_after is None:
        return wait
    return max(wait if failure.retry_after <= 0 else 0.0, min(failure.retry_after, MAX_RETRY_AFTER))
