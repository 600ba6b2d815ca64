"""Which of the project's files a stage imports, read from the code: what DVC must be told.

A stage's functions for one system (`train_dance`, `train_images`, ...) import that system's modules themselves, so that
the stages of one system don't depend on another's code.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src"


def _module_file(name: str) -> Path | None:
    """The file of a module of the project; None for others and for packages, whose __init__ holds a docstring alone."""
    path = SRC / Path(*name.split(".")).with_suffix(".py")
    return path if path.exists() else None


def _imported(nodes: Iterator[ast.AST]) -> set[Path]:
    found = set()
    for node in nodes:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        found |= {path for name in names if name.startswith("dancing.") and (path := _module_file(name))}
    return found


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _walk(node: ast.AST, skip: frozenset[str] = frozenset()) -> Iterator[ast.AST]:
    """All nodes but those for type checkers alone and those in functions to `skip`."""
    for child in ast.iter_child_nodes(node):
        if _is_type_checking(child) or (isinstance(child, ast.FunctionDef) and child.name in skip):
            continue
        yield child
        yield from _walk(child, skip)


def closure(stage: Path, without: frozenset[str] = frozenset()) -> set[Path]:
    """Files of src/ that a stage imports, directly or not, except by its functions `without`."""
    waiting = _imported(_walk(ast.parse(stage.read_text(encoding="utf-8")), without))
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting |= _imported(_walk(ast.parse(path.read_text(encoding="utf-8"))))
    return found


def direct_imports(path: Path) -> set[Path]:
    """Files of src/ that a file imports itself."""
    return _imported(_walk(ast.parse(path.read_text(encoding="utf-8"))))
