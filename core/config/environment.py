"""The environment: variables, files that hold their values, and ``${VAR}`` in the configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field

from tocsin.core.config.errors import Path as KeyPath
from tocsin.core.config.errors import Problems
from tocsin.core.hiding.names import is_secret_name

T = TypeVar("T")

_REFERENCE = re.compile(r"\$(?:(\$)|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|(\{))")
_SECRET_NAME = re.compile(r"PASS|TOKEN|SECRET|KEY|CREDENTIAL|DATABASE_URL|DSN", re.IGNORECASE)
"""Broader than :func:`is_secret_name`: it does little harm to hide a variable's value."""


class Interpolated(str):
    """Text that came from ``${VAR}``. It may stand for a number or a truth value."""


@define
class Environment:
    """Reads variables and remembers which of their values are secret."""

    variables: Mapping[str, str]
    problems: Problems
    secrets: set[str] = field(factory=set)
    filled: dict[str, tuple[str, ...]] = field(factory=dict)
    """Texts in which ``${VAR}`` was replaced, with the values that were inserted into each."""
    _unreadable: set[str] = field(factory=set)
    """Variables whose file exists but cannot be read, so that this is reported only once."""

    def get(self, name: str) -> str | None:
        """Return the value of a variable; None if it is not set, or empty.

        A value may also come from the file that ``NAME_FILE`` names, or from the file ``NAME`` in
        the directory that ``TOCSIN_SECRETS`` names.
        """
        value = self.variables.get(name) or None
        file = self.variables.get(f"{name}_FILE") or None
        if value is not None:
            if file is not None:
                self.problems.environment(
                    name, f"{name} and {name}_FILE are both set; unset one of them"
                )
            if _is_secret(name):
                self._hide(value)
            return value
        if file is not None:
            return self._content(Path(file), name, f"{name}_FILE")
        if (directory := self._directory()) and os.path.lexists(dropped := directory / name):
            return self._content(dropped, name, name)
        return None

    def _directory(self) -> Path | None:
        """Return the directory of files that are named like the variables they stand for."""
        named = self.variables.get("TOCSIN_SECRETS")
        return Path(named) if named else None

    def _content(self, file: Path, name: str, at: str) -> str | None:
        """Return the content of a file as a secret; if it is unreadable, report that for ``at``."""
        try:
            value = file.read_text().rstrip("\r\n")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            self._unreadable.add(name)
            self.problems.environment(
                at,
                f"the file {file} cannot be read ({reason}); "
                f"correct the path or its permissions, or set {name} instead",
            )
            return None
        self._hide(value)
        return value or None

    def read(self, name: str, reader: Callable[[str], T], default: T) -> T:
        """Return a variable's value as parsed by ``reader``.

        A ValueError of ``reader`` is reported as a problem, and ``default`` is returned.
        """
        value = self.get(name)
        if value is None:
            return default
        try:
            return reader(value)
        except ValueError as error:
            self.problems.environment(name, str(error))
            return default

    def _hide(self, value: str) -> None:
        self.secrets.add(value)

    def fill(self, tree: Any, path: KeyPath = ()) -> Any:
        """Replace ``${VAR}`` and ``${VAR:-default}`` in all texts of a tree; ``$$`` gives ``$``."""
        if isinstance(tree, dict):
            return {key: self.fill(value, (*path, key)) for key, value in tree.items()}
        if isinstance(tree, list):
            return [self.fill(value, (*path, f"[{n}]")) for n, value in enumerate(tree)]
        if isinstance(tree, str) and "$" in tree:
            return self._fill_text(tree, path)
        return tree

    def _fill_text(self, text: str, path: KeyPath) -> str:
        unset = False
        values: list[str] = []

        def replace(match: re.Match[str]) -> str:
            nonlocal unset
            dollar, name, default, _ = match.groups()
            if dollar:
                return "$"
            if name is None:
                self.problems.add(
                    path,
                    "'${' does not begin a ${NAME} or ${NAME:-default}; write $${ for a literal ${",
                )
                return match[0]
            value = self.get(name)
            if value is None and default is None:
                unset = True
                if name not in self._unreadable:
                    self.problems.add(path, self._not_set(name))
                return ""
            if value is None and default and _is_secret(name):
                self._hide(default)
            values.append(value if value is not None else default or "")
            return values[-1]

        filled = _REFERENCE.sub(replace, text)
        if unset:
            self.problems.leave_out(path[:-1], path[-1:])
        if filled == text:
            return text
        self.filled[filled] = tuple(values)
        return Interpolated(filled)

    def _not_set(self, name: str) -> str:
        remedy = "set it,"
        if (directory := self._directory()) is not None:
            remedy += f" put a file of that name into {directory}"
            # A directory that may not be entered looks empty.
            closed = os.path.isdir(directory) and not os.access(directory, os.X_OK)  # noqa: PTH112
            remedy += " (which tocsin must be able to enter)," if closed else ","
        return (
            f"the environment variable {name} is not set; "
            f"{remedy} or give a default: ${{{name}:-…}}"
        )


def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None or is_secret_name(name)


def read_secret(name: str, variables: Mapping[str, str]) -> str | None:
    """Return one variable as :meth:`Environment.get` does; None if its file cannot be read."""
    return Environment(variables, Problems("environment")).get(name)
