"""The statements of a script that make given variables: a backward slice of its source, not of its run.

Statement by statement and by name (Weiser, "Program slicing", 1981): what binds or changes a needed variable is kept,
and what that reads is needed in turn. Training itself is left out, and whatever comes after it.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import final

from unstuck.capture.variables import DEFINITIONS, FUNCTIONS, bound_by, bound_in, changes, read_in

Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef


class Unwritable(Exception):
    """Something cannot be taken from the source; the message says what is needed."""


@final
@dataclass(frozen=True, slots=True)
class Excerpt:
    """Parts of a script.

    Attributes:
        module: Source of statements that belong at module level, in the order of the script.
        body: Source of statements that belong into a function, in the order of the script.
        names: Every name that the statements bind.
    """

    module: tuple[str, ...]
    body: tuple[str, ...]
    names: frozenset[str]


def excerpt(
    source: str, wanted: Sequence[tuple[str, int]], training: int, arguments: Sequence[str], also: Collection[str] = ()
) -> Excerpt:
    """Take out of a script what makes some of its variables.

    Args:
        source: The script.
        wanted: Names of variables, each with the line that assigns it; all in one function, or at module level.
        training: A line of the training step, which is left out together with all that leads to it.
        arguments: Become those of `sys.argv`, and what `parse_args()` reads.
        also: Further names to bring along.

    Returns:
        The statements.

    Raises:
        Unwritable: If the variables are made where they cannot be taken from.
    """
    tree = ast.parse(source)
    scope = _common(tree, wanted)
    trains = _training_functions(tree, training)
    needed = {name for name, _ in wanted} | set(also)
    local = [] if isinstance(scope, ast.Module) else _before_training(scope.body, training, trains)
    kept = _kept(local, needed, _own_functions(tree))
    top = _before_training(_top_level(tree), training, trains, everything=not isinstance(scope, ast.Module))
    above = _kept(top, needed, _own_functions(tree))
    bound = {name for statement in (*kept, *above) for name in bound_in(statement)}
    if not isinstance(scope, ast.Module):
        _check_parameters(scope, needed, bound)
    for name, line in wanted:
        if name not in bound:
            raise Unwritable(f"`{name}`, which line {line} makes, comes after the start of the training or inside it")
    shared = _read_by_definitions(above)
    is_split = isinstance(scope, ast.Module) and not any(
        bound_in(each) & shared for each in above if not isinstance(each, DEFINITIONS)
    )
    inside = kept if not is_split else [each for each in above if not isinstance(each, DEFINITIONS)]
    outside = above if not is_split else [each for each in above if isinstance(each, DEFINITIONS)]

    def text(statements: Sequence[ast.stmt]) -> tuple[str, ...]:
        return tuple(_with_arguments(_text(source, each, needed), arguments) for each in statements)

    return Excerpt(text(outside), text(inside), frozenset(bound))


def epochs_of(source: str, wanted: Sequence[tuple[str, int]]) -> str:
    """How many epochs a script trains, as an expression of its own variables.

    Args:
        source: The script.
        wanted: As for `excerpt`.

    Returns:
        Such as "len(range(1, args.epochs + 1))"; "" where no loop over a range of epochs is in sight.
    """
    tree = ast.parse(source)
    scope = _common(tree, wanted)
    statements = _top_level(tree) if isinstance(scope, ast.Module) else scope.body
    for statement in statements:
        if isinstance(statement, ast.For) and statement.lineno > max(line for _, line in wanted):
            call = statement.iter
            named = isinstance(statement.target, ast.Name) and "ep" in statement.target.id.lower()
            if named and isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range":
                single = len(call.args) == 1
                return ast.unparse(call.args[0]) if single else f"len({ast.unparse(call)})"
    return ""


def line_of(source: str, name: str) -> int:
    """The last line of a script that assigns a variable, or 0."""
    found = [getattr(node, "lineno", 0) for node in ast.walk(ast.parse(source)) if _assigns(node, name)]
    return max(found, default=0)


def value_of(source: str, name: str, line: int) -> ast.expr | None:
    """What a variable is assigned at a line, or None where that is no plain assignment."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and node.lineno == line and len(node.targets) == 1:
            target = node.targets[0]
            if isinstance(target, ast.Name) and target.id == name:
                return node.value
    return None


def _assigns(node: ast.AST, name: str) -> bool:
    return isinstance(node, (ast.Assign, ast.AnnAssign)) and name in bound_in(node)


# Where variables are made.


def _common(tree: ast.Module, wanted: Sequence[tuple[str, int]]) -> Scope:
    scopes = [_scope(tree, name, line) for name, line in wanted]
    if len({id(each) for each in scopes}) != 1:
        places = ", ".join(f"`{name}` at line {line}" for name, line in wanted)
        raise Unwritable(f"model, optimizer and data are made in different functions: {places}")
    return scopes[0]


def _scope(tree: ast.Module, name: str, line: int) -> Scope:
    found: Scope = tree
    for node in ast.walk(tree):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and node.lineno <= line <= (node.end_lineno or 0):
            if isinstance(node, ast.ClassDef):
                raise Unwritable(f"`{name}` is made inside the class {node.name}, at line {line}")
            found = node  # `ast.walk` goes from the outside in
    return found


def _check_parameters(scope: ast.FunctionDef | ast.AsyncFunctionDef, needed: set[str], bound: set[str]) -> None:
    given = scope.args
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    used = [name for name in names if name in needed - bound]
    if used:
        raise Unwritable(f"`{scope.name}`, line {scope.lineno}, is given {', '.join(f'`{each}`' for each in used)}")


def _top_level(tree: ast.Module) -> list[ast.stmt]:
    """The statements of a module, with what runs only in a script in place of its guard."""
    found: list[ast.stmt] = []
    for statement in tree.body:
        is_guard = isinstance(statement, ast.If) and "__name__" in read_in(statement.test)
        found += statement.body if is_guard and isinstance(statement, ast.If) else [statement]
    return found


def _own_functions(tree: ast.Module) -> set[str]:
    return {each.name for each in tree.body if isinstance(each, FUNCTIONS)}


# What belongs to the training.


def _training_functions(tree: ast.Module, training: int) -> set[str]:
    """Functions that take the training step, or call one that does."""
    functions = [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]
    found = {each.name for each in functions if each.lineno <= training <= (each.end_lineno or 0)}
    while True:
        more = {each.name for each in functions if _called(each) & found} - found
        if not more:
            return found
        found |= more


def _before_training(
    statements: Sequence[ast.stmt], training: int, trains: set[str], everything: bool = False
) -> list[ast.stmt]:
    found: list[ast.stmt] = []
    for statement in statements:
        if isinstance(statement, DEFINITIONS):
            found.append(statement)
        elif statement.lineno <= training <= (statement.end_lineno or 0) or _called(statement) & trains:
            if not everything:
                break
        else:
            found.append(statement)
    return found


def _called(node: ast.AST) -> set[str]:
    functions = [each.func for each in ast.walk(node) if isinstance(each, ast.Call)]
    return {getattr(each, "id", getattr(each, "attr", "")) for each in functions}


# What is kept.


def _kept(statements: Sequence[ast.stmt], needed: set[str], own: set[str]) -> list[ast.stmt]:
    """The statements that bind or change what is needed; what they read is added to `needed`."""
    kept: set[int] = set()
    while True:
        before = len(kept)
        for statement in statements:
            if id(statement) in kept or not (bound_in(statement) & needed or changes(statement, needed, own)):
                continue
            kept.add(id(statement))
            needed |= read_in(statement) if not isinstance(statement, (ast.Import, ast.ImportFrom)) else set()
        if len(kept) == before:
            return [each for each in statements if id(each) in kept]


def _read_by_definitions(statements: Sequence[ast.stmt]) -> set[str]:
    return set().union(*(read_in(each) for each in statements if isinstance(each, (*FUNCTIONS, ast.ClassDef))))


# Text.


def _text(source: str, statement: ast.stmt, needed: set[str]) -> str:
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        names = [each for each in statement.names if each.name == "*" or bound_by(each) in needed]
        if isinstance(statement, ast.Import):
            return ast.unparse(ast.Import(names))
        return ast.unparse(ast.ImportFrom(statement.module, names, statement.level))
    decorators = getattr(statement, "decorator_list", [])
    first, last = min([statement.lineno, *(each.lineno for each in decorators)]), statement.end_lineno or 0
    lines = source.splitlines()[first - 1 : last]
    is_alone = not lines[0][: statement.col_offset].strip() and not re.sub(
        r"#.*", "", lines[-1].encode()[statement.end_col_offset or 0 :].decode()
    ).strip(" ;")
    has_long_string = any(
        isinstance(each, (ast.Constant, ast.JoinedStr)) and each.lineno != each.end_lineno
        for each in ast.walk(statement)
        if isinstance(each, ast.JoinedStr) or (isinstance(each, ast.Constant) and isinstance(each.value, (str, bytes)))
    )
    if not is_alone or (has_long_string and statement.col_offset):
        return ast.unparse(statement)
    return textwrap.dedent("\n".join(lines)).rstrip(" ;")


def _with_arguments(text: str, arguments: Sequence[str]) -> str:
    """Let a statement read the recorded arguments in place of those of the process."""
    text = re.sub(r"\b(parse_args|parse_known_args)\(\s*\)", lambda found: f"{found[1]}({list(arguments)!r})", text)
    return re.sub(r"\bsys\.argv\b", lambda _: repr(["", *arguments]), text)
