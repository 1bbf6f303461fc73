"""Judges backup files: the age and size of the newest file that matches, and their number."""

from __future__ import annotations

import glob
import os
import stat

from attrs import frozen

from tocsin import Result, format_bytes, format_duration, own_shortage

MAX_FILES = 100_000


@frozen(kw_only=True)
class Freshness:
    """Requirements for the files that match a pattern.

    Hard and symbolic links to one file count as one backup.

    A file changed within the last ``settle`` seconds may be incomplete: it is ignored if there is
    an older file, and its size and age are not judged if there is none.

    Attributes:
        pattern: absolute path as for ``glob``; ``**`` matches folders at any depth.
        max_age: highest age of the newest file, in seconds.
        settle: seconds without a change after which a file counts as complete.
        min_size: lowest size of the newest file, in bytes.
        max_shrink_percent: by how many percent the newest file may be smaller than the one before.
        min_count: lowest number of matching files.
    """

    pattern: str
    max_age: float | None
    settle: float
    min_size: int
    max_shrink_percent: float | None
    min_count: int

    def look(self, now: float) -> Result:
        """Find the files and return the result. Blocks.

        Args:
            now: the current Unix time in seconds, to compare with the times of files.
        """
        files: dict[tuple[int, int], _File] = {}
        for path in glob.iglob(self.pattern, recursive=True):  # noqa: PTH207 - a whole pattern
            try:
                info = os.stat(path)  # noqa: PTH116
            except OSError:
                continue  # removed since it was listed, or a dangling link
            if stat.S_ISREG(info.st_mode):
                place = (info.st_dev, info.st_ino)
                # A link such as "-latest" is no further backup; prefer the name of the file itself.
                if place not in files or os.path.realpath(files[place].path) != files[place].path:
                    files[place] = _File(_changed(info, now), info.st_size, path)
            if len(files) >= MAX_FILES:
                return Result.unknown(f"more than {MAX_FILES} files match {self.pattern}")
        found = sorted(files.values(), reverse=True)
        metrics: dict[str, float] = {"files": float(len(found))}
        if not found:
            if lack := self._unseen():
                return Result.unknown(lack, metrics=metrics)
            return Result.down(f"no file matches {self.pattern}", metrics=metrics)
        # A file older than ``max_age`` is judged even if ``settle`` is longer.
        settle = self.settle if self.max_age is None else min(self.settle, self.max_age)
        settled = [file for file in found if now - file.changed >= settle]
        busy = found[0] if len(settled) < len(found) else None
        newest = settled[0] if settled else found[0]
        age = max(0.0, now - newest.changed)
        metrics |= {"newest_age_seconds": age, "newest_size_bytes": float(newest.size)}
        # A new file counts only once it has settled, so the old one may be that much older.
        patience = 0.0 if busy is None else settle
        trouble = self._trouble(settled, age, patience) or self._too_few(found)
        if trouble:
            return Result.down(trouble, metrics=metrics)
        text = f"{newest.name}, {format_duration(age)} old, {format_bytes(newest.size, 1000)}"
        if not settled:
            text = f"{newest.name} is being written, {format_bytes(newest.size, 1000)} so far"
        elif busy is not None:
            text += f"; {busy.name} is being written"
        return Result.up(text, metrics=metrics, attributes={"newest": newest.path})

    def _unseen(self) -> str | None:
        """Return why existing files may not have been found, or None. ``glob`` treats a folder that
        it cannot open as empty."""
        root = self.pattern
        while root != "/" and (glob.has_magic(root) or not os.path.isdir(root)):  # noqa: PTH112
            root = os.path.dirname(root)  # noqa: PTH120
        try:
            os.scandir(root).close()
        except PermissionError:
            return f"tocsin may not read the folder {root} (permission denied)"
        except OSError as error:
            return own_shortage(error)
        return None

    def _trouble(self, settled: list[_File], age: float, patience: float) -> str | None:
        if not settled:
            return None
        newest = settled[0]
        if self.max_age is not None and age > self.max_age + patience:
            limit = format_duration(self.max_age)
            return (
                f"the newest, {newest.name}, is {format_duration(age)} old, "
                f"expected at most {limit}"
            )
        if newest.size < self.min_size:
            return (
                f"the newest, {newest.name}, has {format_bytes(newest.size, 1000)}, "
                f"expected at least {format_bytes(self.min_size, 1000)}"
            )
        if self.max_shrink_percent is not None and len(settled) > 1 and settled[1].size > 0:
            before = settled[1].size
            shrunk = 100 * (before - newest.size) / before
            if shrunk > self.max_shrink_percent:
                return (
                    f"the newest, {newest.name}, is {shrunk:.0f}% smaller than the one before "
                    f"({format_bytes(newest.size, 1000)}, was {format_bytes(before, 1000)})"
                )
        return None

    def _too_few(self, found: list[_File]) -> str | None:
        if len(found) < self.min_count:
            return f"only {len(found)} files match, expected at least {self.min_count}"
        return None


@frozen(order=True)
class _File:
    """A file: the Unix time of its last change, its size in bytes, its path. Orders by time."""

    changed: float
    size: int
    path: str

    @property
    def name(self) -> str:
        """The file name without the folder."""
        return os.path.basename(self.path)  # noqa: PTH119


def _changed(info: os.stat_result, now: float) -> float:
    """Return the Unix time at which a file was last changed.

    Programs can set a file's modification time. A file with a time in the future would count as
    new until then; for such a file the time of the last metadata change counts.
    """
    return info.st_mtime if info.st_mtime <= now else min(info.st_mtime, info.st_ctime)
