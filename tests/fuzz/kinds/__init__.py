"""What is fuzzed. A module of this package is found by itself."""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from tests.fuzz.judge import SLOW, Judge


class Kind(ABC):
    """One sort of case. Attributes: ``batch`` cases run together; ``limit`` seconds of CPU for one
    callback; ``needs_database``."""

    name: ClassVar[str]
    batch: ClassVar[int] = 50
    limit: ClassVar[float] = SLOW
    needs_database: ClassVar[bool] = False

    @abstractmethod
    def make(self, rng: Random) -> Any:
        """A case."""

    def parts(self, case: Any) -> int:
        """How many labels, log lines, answers, updates, files a case holds."""
        return 1

    @abstractmethod
    def open(
        self, directory: Path, judge: Judge, database: str
    ) -> AbstractAsyncContextManager[Any]:
        """What the cases run against."""

    @abstractmethod
    async def run(self, place: Any, cases: list[tuple[int, Any]]) -> None:
        """Run cases, by number, and tell the judge of what was wrong and what came out."""


def all_kinds() -> dict[str, type[Kind]]:
    """Every kind by name."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    found = sorted(Kind.__subclasses__(), key=lambda kind: kind.name)
    return {kind.name: kind for kind in found}
