"""Imports follow the layers downwards, without cycles; lower layers do not import torch."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "workflow_scripts" / "splitlaw"
LAYERS = [
    {"api", "cli", "__main__"},
    {"workflow"},
    {"report"},
    {"delivery"},
    {"stages"},
    {"zero_shot"},
    {"training"},
    {"scheduling"},
    {"planner"},
    {"laws"},
    {"tokens"},
    {"corpus"},
    {"experiment"},
    {"common"},
]
"""A module imports from its own layer and from those below it."""

WITHOUT_TORCH = {"experiment", "laws", "planner", "scheduling", "common", "workflow"}
TORCH = {"torch", "transformers", "safetensors"}
LARGEST_MODULE = 350
"""Lines; 300 is the aim, and a module is not split for a few lines more."""
LARGEST_CLASS = 13
"""Methods; 12 is the aim."""


def modules() -> dict[str, Path]:
    """Every module of the package by its name below `splitlaw`; a package by its own name."""
    names = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = list(file.relative_to(PACKAGE).with_suffix("").parts)
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return names


MODULES = modules()


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imported(module: str, *, at_import: bool = False) -> Iterator[str]:
    """Full names of what a module imports; `at_import`: only what importing it imports."""
    for node in ast.walk(tree(module)) if not at_import else _executed(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{module}: relative import; name the module in full"
            for alias in node.names:
                inside = f"{node.module}.{alias.name}".removeprefix("splitlaw.")
                own = node.module.startswith("splitlaw")
                yield f"splitlaw.{inside}" if own and inside in MODULES else node.module


def _executed(body: ast.AST) -> Iterator[ast.AST]:
    """Nodes that are executed when a module is imported."""
    for node in ast.iter_child_nodes(body):
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if not typing_only and not isinstance(node, (ast.FunctionDef, ast.Lambda)):
            yield node
            yield from _executed(node)


def within(module: str) -> Iterator[str]:
    """Modules of the package that a module imports."""
    for name in imported(module):
        if name.startswith("splitlaw."):
            yield name.removeprefix("splitlaw.")


def layer(module: str) -> int:
    part = module.split(".")[0]
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name))
def test_imports_go_downwards(module):
    upwards = [name for name in within(module) if layer(name) < layer(module)]
    assert not upwards, f"{module} imports {', '.join(upwards)} from a layer above it"


def test_there_are_no_cycles():
    graph = {module: {name for name in within(module) if name != module} for module in MODULES}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for name in graph.get(module, ()):
                visit(name, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize(
    "module", sorted(name for name in MODULES if name.split(".")[0] in WITHOUT_TORCH)
)
def test_lower_layers_do_not_import_torch(module):
    found = [name for name in imported(module) if name.split(".")[0] in TORCH]
    assert not found, f"{module} imports {found}, if only inside a function"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_modules_and_classes_are_small(module):
    lines = MODULES[module].read_text(encoding="utf-8").count("\n")
    assert lines <= LARGEST_MODULE, f"{module} has {lines} lines"
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ClassDef):
            methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
            assert len(methods) <= LARGEST_CLASS, f"{module}.{node.name}: {len(methods)} methods"


def test_the_root_has_no_modules_of_its_own():
    names = {name for name in MODULES if "." not in name and not (PACKAGE / name).is_dir()}
    assert names <= {"api", "__main__"}
