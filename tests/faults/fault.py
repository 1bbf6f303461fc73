"""What a row is, and how it is found."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, ClassVar

from tests.faults import rows

if TYPE_CHECKING:
    from tests.faults.world import World

Step = tuple[float, Callable[[], None]]
"""When, in seconds of the script, and what is done."""

ROOT, ENGINE, FAKETIME = "root", "engine", "faketime"
"""What a row may need: to be root; to start a Docker Engine of its own; processes with clocks of
their own."""


class Fault:
    """A fault, injected once and healed once. The first line of a subclass's docstring says what
    happens; ``name`` is the row's.

    ``needs``: ROOT, ENGINE, FAKETIME. ``from_start``: it is there before tocsin starts. ``rings``:
    alerts must go out while it lasts. ``deaf``: channels whose receiver it breaks.
    ``blind``: targets that nobody can see while it lasts. ``refused``: channels
    and targets whose notices the receiver refuses for good, from the start of the fault. ``hold``:
    how long an idle channel holds a notice. ``plugin_threads``: how many plugins get a thread of
    their own (``core.plugin.threads``), which they keep.
    """

    name: ClassVar[str] = ""
    needs: ClassVar[frozenset[str]] = frozenset()
    from_start: ClassVar[bool] = False
    rings: ClassVar[bool] = True
    deaf: ClassVar[frozenset[str]] = frozenset()
    blind: ClassVar[frozenset[str]] = frozenset()
    refused: ClassVar[frozenset[tuple[str, str]]] = frozenset()
    hold: ClassVar[str] = "300ms"
    plugin_threads: ClassVar[int] = 0

    def prepare(self, world: World, stack: ExitStack) -> None:
        """Bring up what the row has of its own; ``stack`` takes it down, whatever happens."""

    def config(self, world: World) -> str:
        """More tables of tocsin.toml. Which Docker Engine is watched is the row's to say."""
        return "[sources.docker]\nenabled = false\n"

    def env(self, world: World, who: str) -> Mapping[str, str]:
        """More environment of a process: ``who`` is ``tocsin``, or the channel of a receiver."""
        return {}

    def is_ready(self, world: World) -> bool:
        """Whether tocsin sees what the row has of its own."""
        return True

    def inject(self, world: World) -> None:
        """Make the fault; on return it is fully there."""
        raise NotImplementedError

    def heal(self, world: World) -> None:
        """Take it away; on return it is gone."""
        raise NotImplementedError

    def steps(self, world: World) -> list[Step]:
        """What is done, and when. A row that does more than inject and heal replaces this."""
        inject = (world.script.begins, lambda: world.break_with(self))
        heal = (world.script.ends, lambda: world.heal_from(self))
        return [heal] if self.from_start else [inject, heal]

    def stopped(self, world: World) -> None:
        """tocsin was stopped for good; on return the history that it wrote can be read."""


def all_rows() -> dict[str, type[Fault]]:
    """Every row by its name: the classes with a name in the modules of ``tests.faults.rows``."""
    found: dict[str, type[Fault]] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(rows.__path__)):
        content = vars(importlib.import_module(f"{rows.__name__}.{module}"))
        for value in content.values():
            if not (isinstance(value, type) and issubclass(value, Fault) and value.name):
                continue
            if found.setdefault(value.name, value) is not value:
                raise ValueError(f"two rows are called {value.name!r}")
    return found
