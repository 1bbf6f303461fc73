"""The contract of services: long-running parts that the core supervises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from attrs import frozen


@frozen(kw_only=True)
class ServiceContext:
    """What a service gets from the core.

    Attributes:
        api_url: the URL of the API.
        directory: a directory for this service alone; it exists and has mode 0700.
        token_file: a file of mode 0600 with an API token of the role viewer.
    """

    api_url: str
    directory: Path
    token_file: Path


@frozen(kw_only=True)
class Service(ABC):
    """A long-running part, such as the dashboard, that the core starts, supervises and stops."""

    @abstractmethod
    async def run(self, context: ServiceContext) -> None:
        """Serve until cancelled. An exception ends the run; the core starts a new one after a
        backoff.

        Raises:
            ServiceError: the service cannot run.
        """

    def url(self) -> str | None:
        """Return the URL at which people open the service, shown when tocsin starts; None if there
        is none."""
        return None
