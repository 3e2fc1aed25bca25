"""Which variables a statement of a script binds, reads and changes, by its syntax alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
_SILENT: Final = ("print", "input", "exit", "quit")


def bound_in(node: ast.AST) -> set[str]:
    """The names that a statement binds in the scope in which it stands."""
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {bound_by(alias) for alias in node.names}
    if isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        return set()
    own = {node.id} if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else set()
    return own.union(*(bound_in(each) for each in ast.iter_child_nodes(node)))


def read_in(node: ast.AST) -> set[str]:
    """The names that a statement or an expression reads."""
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}


def changes(statement: ast.stmt, needed: set[str], own: set[str]) -> bool:
    """Whether a statement changes what a needed name stands for: `model.apply(…)`, `torch.manual_seed(0)`."""
    if isinstance(statement, DEFINITIONS):
        return False
    for node in _without_functions(statement):
        if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
            if _root(node) in needed:
                return True
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            root, call = _root(node.value.func), node.value
            given = set().union(*(read_in(each) for each in (*call.args, *call.keywords)))
            if root in needed and root not in _SILENT and root not in own:
                return True
            if root in own and given & needed:
                return True
        elif isinstance(node, ast.For) and _root(node.iter) in needed:
            names = bound_in(node.target)  # what is done to the parts of a needed thing is done to it
            if any(changes(each, names, own) for each in node.body):
                return True
    return False


def _without_functions(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for each in ast.iter_child_nodes(node):
        if not isinstance(each, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
            yield from _without_functions(each)


def _root(node: ast.AST) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def bound_by(alias: ast.alias) -> str:
    """The name that a part of an import binds."""
    return alias.asname or alias.name.split(".")[0]


def names_in(expression: str) -> set[str]:
    """The variables that an expression reads."""
    return read_in(ast.parse(expression, mode="eval"))
