"""Is there a fresh backup: the newest file that matches, its age and size."""

from __future__ import annotations

import glob
import os
import stat
import time

from attrs import frozen

from tocsin import Result, format_duration

MAX_FILES = 100_000


@frozen(kw_only=True)
class Freshness:
    """What the newest file must be. Ages in seconds, sizes in bytes."""

    pattern: str
    max_age: float | None
    min_size: int
    max_shrink_percent: float | None
    min_count: int

    def look(self) -> Result:
        """Look at the files; blocking."""
        found: list[tuple[float, int, str]] = []
        for path in glob.iglob(self.pattern, recursive=True):  # noqa: PTH207 - a whole pattern
            try:
                info = os.stat(path)  # noqa: PTH116
            except OSError:
                continue  # gone since, or a dangling link
            if stat.S_ISREG(info.st_mode):
                found.append((info.st_mtime, info.st_size, path))
            if len(found) >= MAX_FILES:
                return Result.unknown(f"more than {MAX_FILES} files match {self.pattern}")
        found.sort(reverse=True)
        metrics: dict[str, float] = {"files": float(len(found))}
        if not found:
            return Result.down(f"no file matches {self.pattern}", metrics=metrics)
        changed, size, path = found[0]
        # Wall time it has to be: that is what files carry. A file from the future is new.
        age = max(0.0, time.time() - changed)
        metrics |= {"newest_age_seconds": age, "newest_size_bytes": float(size)}
        name = os.path.basename(path)  # noqa: PTH119
        trouble = self._trouble(found, name, age, size)
        if trouble:
            return Result.down(trouble, metrics=metrics)
        return Result.up(
            f"{name}, {format_duration(age)} old, {_size(size)}",
            metrics=metrics,
            attributes={"newest": path},
        )

    def _trouble(
        self, found: list[tuple[float, int, str]], name: str, age: float, size: int
    ) -> str | None:
        if self.max_age is not None and age > self.max_age:
            limit = format_duration(self.max_age)
            return f"the newest, {name}, is {format_duration(age)} old, allowed is {limit}"
        if size < self.min_size:
            return (
                f"the newest, {name}, has {_size(size)}, expected at least {_size(self.min_size)}"
            )
        if self.max_shrink_percent is not None and len(found) > 1 and found[1][1] > 0:
            before = found[1][1]
            shrunk = 100 * (before - size) / before
            if shrunk > self.max_shrink_percent:
                return (
                    f"the newest, {name}, is {shrunk:.0f}% smaller than the one before "
                    f"({_size(size)}, was {_size(before)})"
                )
        if len(found) < self.min_count:
            return f"only {len(found)} files match, expected at least {self.min_count}"
        return None


def _size(count: float) -> str:
    units = ["B", "kB", "MB", "GB", "TB"]
    while count >= 1000 and len(units) > 1:
        count /= 1000
        units.pop(0)
    return f"{count:.0f} {units[0]}" if units[0] == "B" else f"{count:.1f} {units[0]}"
