"""The house by numbers: lines of each room, and how many are code, long files, imports between
rooms, names of plugins in the core. ``make rooms``; nothing is run or imported."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
TREES = ("core", "plugins", "dashboard")
LONG = 300
"""Lines of a file that is too long."""

FIELD = {"down", "history"}
"""Names of plugins that are also words of the field: a status, and a kind of plugin."""


def modules() -> Iterator[Path]:
    """All source files, by paths below the project."""
    for tree in TREES:
        for path in sorted((ROOT / tree).rglob("*.py")):
            yield path.relative_to(ROOT)


def room_of(path: Path) -> str:
    """``core/alerts`` for a file in a folder of the core, ``core`` for a loose one; of plugins the
    kind."""
    return "/".join(path.parts[:2]) if len(path.parts) > 2 else path.parts[0]


def room_of_name(name: str) -> str | None:
    """The room of a module by its dotted name; None for one that is not ours."""
    parts = name.split(".")
    if parts[0] != "tocsin" or len(parts) < 2 or parts[1] not in TREES:
        return None
    path = Path(*parts[1:])
    if (ROOT / path).is_dir():
        return room_of(path / "x")
    return room_of(path) if (ROOT / path).with_suffix(".py").is_file() else room_of(path.parent)


def imported(tree: ast.Module) -> Iterator[str]:
    """Names of the modules that a file imports, also where only types are wanted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def plugins() -> set[str]:
    """Names of the plugins that come along, but for those that are words of the field."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return set(project["entry-points"]["tocsin"]) - FIELD


def code_lines(text: str, tree: ast.Module) -> int:
    """Lines of a file that are neither blank, nor comments, nor docstrings and the like."""
    prose = {
        number
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for number in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    return sum(
        1
        for number, line in enumerate(text.splitlines(), 1)
        if number not in prose and line.strip() and not line.lstrip().startswith("#")
    )


def texts(tree: ast.Module) -> Iterator[str]:
    """Texts in a file, but for docstrings."""
    bodies = [body for each in ast.walk(tree) if isinstance(body := getattr(each, "body", 0), list)]
    told = {node.value for body in bodies for node in body if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in told:
            yield node.value


def main() -> None:
    """Print the tables."""
    lines: Counter[str] = Counter()
    files: Counter[str] = Counter()
    code: Counter[str] = Counter()
    long: list[tuple[int, Path]] = []
    edges: Counter[tuple[str, str]] = Counter()
    named: dict[Path, set[str]] = {}
    names = re.compile("|".join(sorted(map(re.escape, plugins()), key=len, reverse=True)))
    callables = 0
    for path in modules():
        text = (ROOT / path).read_text()
        tree, room, count = ast.parse(text), room_of(path), text.count("\n")
        lines[room] += count
        files[room] += 1
        code[room] += code_lines(text, tree)
        if count > LONG:
            long.append((count, path))
        for name in imported(tree):
            other = room_of_name(name)
            if other is not None and other != room:
                edges[room, other] += 1
        if path.parts[0] == "core":
            if found := {said for said in texts(tree) if names.fullmatch(said)}:
                named[path] = found
            callables += sum(
                "Callable" in ast.unparse(node.annotation)
                for node in ast.walk(tree)
                if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None
            )
    print(f"{'room':24} {'files':>5} {'lines':>6} {'code':>6}")
    for room, count in sorted(lines.items(), key=lambda item: (item[0].split("/")[0], -item[1])):
        print(f"{room:24} {files[room]:5} {count:6} {code[room]:6}")
    for tree_name in TREES:
        total = sum(count for room, count in lines.items() if room.split("/")[0] == tree_name)
        written = sum(count for room, count in code.items() if room.split("/")[0] == tree_name)
        print(f"{tree_name + ', all':24} {'':5} {total:6} {written:6}")
    print(f"\nfiles over {LONG} lines: {len(long)}")
    for count, path in sorted(long, reverse=True):
        print(f"  {count:4} {path}")
    print("\nimports between rooms")
    for (room, other), count in sorted(edges.items(), key=lambda item: (item[0][0], -item[1])):
        print(f"  {room:24} -> {other:24} {count:4}")
    print(f"\nnames of plugins in the core: {sum(map(len, named.values()))}")
    for path, found in named.items():
        print(f"  {path}: {', '.join(sorted(found))}")
    print(f"\nparameters and fields in the core that are callables: {callables}")


if __name__ == "__main__":
    main()
