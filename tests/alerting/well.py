"""A tocsin that has nothing to say against itself."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field

from tocsin.core.contracts.model import ComponentHealth


@define
class Well:
    """Has looked around, and sees all; ``parts`` fare as they are said to."""

    parts: Mapping[str, ComponentHealth] = field(factory=dict)

    def health(self) -> Mapping[str, ComponentHealth]:
        """How its parts fare."""
        return self.parts

    def has_looked_around(self) -> bool:
        """It has."""
        return True

    def sees_all(self) -> bool:
        """It does."""
        return True
