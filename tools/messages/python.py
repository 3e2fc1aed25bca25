"""Messages of a Python file, found in its syntax tree: sentences, and the templates of f-strings.

An f-string becomes `"One step changed the weights by {0} of their size."`: its holes are numbered in order and lose
their format. Constants and f-strings joined by `+` are one message. A hole that only chooses between two short words
(`{'is' if n == 1 else 'are'}`) gives one message a choice, since another language chooses otherwise.

What counts as a message is decided by where a string stands (an argument `help=`, the name of a `Quantity`, a call of
`translated` or `marked`) or, elsewhere, by whether it reads like words: a docstring, a regular expression, SQL, style
sheets, what is compared, looked up or split, and what exceptions of the standard library say are none.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Final

MARKS: Final = frozenset({"translated", "marked", "_"})
"""Calls whose argument is a message whatever it looks like."""

NAMED: Final[Mapping[str, tuple[int | str, ...]]] = {
    "Quantity": (0, 2, "name", "unit"),
    "Quantity.within": (0, 3, "name", "unit"),
    "Threshold": (1, 2, "unit", "source"),
    "Remedy": (0, "says"),
    "Unmeasured": (0, "reason"),
    "NotMeasurable": (0,),
    "Unchecked": (0, 1, "subject", "reason"),
    "Curve": (0, "label"),
    **dict.fromkeys(
        ("SetupError", "RecordError", "LogError", "TargetError", "sentence"), (0, 1, 2, "must", "got", "do")
    ),
    "RemedyError": (0,),
    "add_argument_group": (0, "title", "description"),
    "add_argument": ("help",),
    "add_parser": ("help", "description", "epilog"),
    "add_subparsers": ("title",),
}
"""Calls of which these arguments are messages even where they are single words."""

UNREAD_CALLS: Final = frozenset(
    {"Case", "compile", "match", "fullmatch", "search", "sub", "split", "findall", "finditer", "startswith", "endswith"}
    | {"removeprefix", "removesuffix", "partition", "rpartition", "strip", "rstrip", "lstrip", "replace", "getattr"}
    | {"hasattr", "setattr", "TypeVar", "NewType", "getLogger", "encode", "decode", "execute", "strftime", "find"}
    | {"index", "count", "open", "environ", "get", "pop", "signature", "import_module", "filterwarnings"}
    | {"simplefilter", "ArgumentParserPlain", "cast", "maketrans", "translate", "einsum"}
)
"""Calls whose own arguments nobody reads."""

OURS: Final = re.compile(
    r"(Damaged|Refused|TimeUp|Unclear|Unwritable|NotTogether|NotMeasurable|TrainingStopped|ArgumentTypeError)$"
)
BUILTIN_ERRORS: Final = re.compile(r"^(\w*Error|\w*Exception|StopIteration|KeyboardInterrupt|SystemExit)$")
OUR_ERRORS: Final = frozenset(
    {"UnstuckError", "InputError", "SetupError", "RecordError", "LogError", "TargetError", "RemedyError"}
    | {"ExaminationError"}
)
STATEMENT: Final = re.compile(r"(SELECT|INSERT|UPDATE|DELETE|CREATE|PRAGMA|ATTACH|WITH|BEGIN|DROP) ")
CODE: Final = re.compile(
    r"[\w-]+\s*:\s*[^;{}]+;\s*$|\{\s*$|</?\w+[ >]|^data:|^https?://|\\[dwsb]|\(\?|\w\|\w|\.\*"
    r"|-src '|^\w+/\w+;|^\w+_\w+$|^\w+\(\w+\.\w+|^(bold|dim|italic)( underline)?$|^unstuck [a-z]+ \{\d+\}$"
)
"""Style sheets, markup, addresses, regular expressions, headers of web pages, names of variables, calls, styles of a
terminal, commands."""

WORDS: Final = re.compile(
    r"[^\W\d_]{2,}['’]?[,;:.]? +\(?[`'\"“]?[^\W\d_]|[^\W\d_]{2,} +\{\d+\}|\{\d+\}[,;:.]? +[^\W\d_]{2,}"
)
MEASURE: Final = "measure"
"""What a measurement is made by; the progress of an examination tells its class in words."""

QUOTED: Final = re.compile(r"`\{(\d+)\}`")
LETTERS: Final = re.compile(r"[^\W\d_]")
SHORT: Final = 5
MOST_VARIANTS: Final = 8


@dataclass(frozen=True, slots=True)
class Message:
    """A message and where it stands.

    Attributes:
        text: The id: English, holes as "{0}".
        line: Line of the file.
    """

    text: str
    line: int


@dataclass
class _Template:
    """Pieces of a message: text, or a hole as an expression."""

    pieces: list[str | ast.expr] = field(default_factory=list)

    def add(self, piece: str | ast.expr) -> None:
        if isinstance(piece, str) and self.pieces and isinstance(self.pieces[-1], str):
            self.pieces[-1] += piece
        elif piece != "":
            self.pieces.append(piece)

    @property
    def has_holes(self) -> bool:
        return any(not isinstance(piece, str) for piece in self.pieces)


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _operands(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*_operands(node.left), *_operands(node.right)]
    return [node]


def _template(node: ast.expr) -> _Template | None:
    """The message that an expression writes down, or None where it writes none down itself."""
    operands = _operands(node)
    if not any(_is_text(operand) for operand in operands):
        return None
    template = _Template()
    for operand in operands:
        if isinstance(operand, ast.Constant) and isinstance(operand.value, str):
            template.add(operand.value)
        elif isinstance(operand, ast.JoinedStr):
            for part in operand.values:
                if isinstance(part, ast.FormattedValue):
                    template.add(part.value)
                else:
                    assert isinstance(part, ast.Constant)
                    template.add(str(part.value))
        else:
            template.add(operand)
    return template


def _short_choice(hole: ast.expr, before: str, after: str, known: Mapping[str, ast.expr]) -> ast.IfExp | None:
    """The conditional expression behind a hole, where it chooses between short words or a part of a word."""
    if isinstance(hole, ast.Name):
        hole = known.get(hole.id, hole)
    if isinstance(hole, ast.BinOp) and isinstance(hole.op, ast.Mult) and _is_text(hole.left):  # 's' * (count > 1)
        hole = ast.IfExp(hole.right, hole.left, ast.Constant(""))
    if not isinstance(hole, ast.IfExp):
        return None
    texts: list[str] = []
    for branch in (hole.body, hole.orelse):
        if not (isinstance(branch, ast.Constant) and isinstance(branch.value, str)):
            return None
        texts.append(branch.value)
    glued = before[-1:].isalpha() or after[:1].isalpha()
    return hole if glued or "" in texts or all(len(text.strip()) <= SHORT for text in texts) else None


def _variants(template: _Template, known: Mapping[str, ast.expr]) -> Iterator[tuple[str, list[ast.expr]]]:
    """Each wording of a template with its numbered holes."""
    choices: dict[int, ast.IfExp] = {}
    pieces = template.pieces
    for index, piece in enumerate(pieces):
        if isinstance(piece, str):
            continue
        before = pieces[index - 1] if index else ""
        after = pieces[index + 1] if index + 1 < len(pieces) else ""
        choice = _short_choice(
            piece, before if isinstance(before, str) else "", after if isinstance(after, str) else "", known
        )
        if choice is not None:
            choices[index] = choice
    tests = list(dict.fromkeys(ast.dump(choice.test) for choice in choices.values()))
    if 2 ** len(tests) > MOST_VARIANTS:
        tests, choices = [], {}
    for answers in itertools.product((True, False), repeat=len(tests)):
        chosen = dict(zip(tests, answers, strict=True))
        text, holes = "", list[ast.expr]()
        for index, piece in enumerate(pieces):
            if isinstance(piece, str):
                text += piece
            elif index in choices:
                branch = choices[index].body if chosen[ast.dump(choices[index].test)] else choices[index].orelse
                assert isinstance(branch, ast.Constant)
                text += str(branch.value)
            else:
                text += f"{{{len(holes)}}}"
                holes.append(piece)
        yield text, holes


def reads_like_words(text: str) -> bool:
    """Whether a text holds at least two words side by side and is neither code nor markup."""
    bare = text.strip()
    if not WORDS.search(bare) or STATEMENT.match(bare) or CODE.search(bare):
        return False
    return True


class _Finder(ast.NodeVisitor):
    """Walks a file; `marked` says whether single words count where it stands, `strict` that only they do."""

    def __init__(self, source: str, strict: bool) -> None:
        self.strict = strict
        self.lines = [line.encode() for line in source.splitlines()]
        self.found: list[Message] = []
        self.known: dict[str, ast.expr] = {}
        self.is_marked = False

    def take(self, text: str, line: int, marked: bool) -> None:
        """Keep a text that is a message."""
        core = text.strip()
        if not LETTERS.search(re.sub(r"\{\d+\}", "", core)):
            return
        if (reads_like_words(core) and not self.strict) or (marked and not CODE.search(core)):
            self.found.append(Message(core, line))

    def read(self, node: ast.AST | None, marked: bool = False) -> None:
        """Visit a node as a place where single words are messages, or not."""
        if node is None:
            return
        before, self.is_marked = self.is_marked, marked
        self.visit(node)
        self.is_marked = before

    def text(self, node: ast.expr, template: _Template) -> None:
        """Take what an expression writes down, then what its holes do."""
        marked = self.is_marked
        held: dict[int, ast.expr] = {}
        for text, holes in _variants(template, self.known):
            self.take(text, node.lineno, marked)
            quoted = {int(number) for number in QUOTED.findall(text)}  # they hold code
            held |= {id(hole): hole for number, hole in enumerate(holes) if number not in quoted}
        is_message = len(self.found) and self.found[-1].line == node.lineno
        for hole in held.values():
            behind = self.known.get(hole.id) if isinstance(hole, ast.Name) else hole
            self.read(
                behind if isinstance(behind, ast.IfExp) else hole, bool(is_message) and isinstance(behind, ast.IfExp)
            )

    def visit_Constant(self, node: ast.Constant) -> None:
        """A string on its own; a raw one is a pattern."""
        raw = self.lines[node.lineno - 1][node.col_offset : node.col_offset + 1] in (b"r", b"R")
        if isinstance(node.value, str) and not raw:
            self.take(node.value, node.lineno, self.is_marked)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """An f-string."""
        template = _template(node)
        assert template is not None
        self.text(node, template)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """Texts joined by `+`."""
        template = _template(node) if isinstance(node.op, ast.Add) else None
        if template is not None:
            self.text(node, template)
        else:
            self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        """What is chosen between, not what decides."""
        self.read(node.test)
        self.read(node.body, self.is_marked)
        self.read(node.orelse, self.is_marked)

    def visit_Call(self, node: ast.Call) -> None:
        """Arguments, by what is called."""
        name = _name(node.func)
        if isinstance(node.func, ast.Attribute) and not (name in UNREAD_CALLS and _is_text(node.func.value)):
            self.read(node.func.value)
        if name in UNREAD_CALLS:
            looked_up = name in {"get", "pop"}  # what they fall back on is read
            for argument in node.args[1:] if looked_up else ():
                self.read(argument)
            for argument in [*node.args[: 1 if looked_up else None], *(keyword.value for keyword in node.keywords)]:
                if not _is_text(argument) and name != "Case":
                    self.read(argument)
            return
        owner = f"{_name(node.func.value)}." if isinstance(node.func, ast.Attribute) else ""
        places = NAMED.get(name, NAMED.get(f"{owner}{name}", ()))
        if self.strict and self.is_marked and OURS.search(name):
            places = (0,)
        for index, argument in enumerate(node.args):
            self.read(argument, name in MARKS or index in places)
        for keyword in node.keywords:
            self.read(keyword.value, name in MARKS or keyword.arg in places)

    def visit_Raise(self, node: ast.Raise) -> None:
        """What our own errors say; those of the standard library are for programmers."""
        call = node.exc
        name = _name(call.func) if isinstance(call, ast.Call) else ""
        if BUILTIN_ERRORS.match(name) and name not in OUR_ERRORS and not OURS.search(name):
            for part in ast.walk(node):  # but what keeps to the grammar of messages is meant for users
                if isinstance(part, ast.Call) and _name(part.func) == "sentence":
                    self.read(part)
            return
        self.read(node.exc, self.strict)

    def visit_Compare(self, node: ast.Compare) -> None:
        """Nothing that is compared is read."""
        for operand in (node.left, *node.comparators):
            if not _is_text(operand) and not isinstance(operand, (ast.Tuple, ast.Set, ast.List)):
                self.read(operand)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """Nor what is looked up."""
        self.read(node.value)
        if not _is_text(node.slice):
            self.read(node.slice)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Nor annotations."""
        self.read(node.value, False)

    def visit_arg(self, node: ast.arg) -> None:
        """Nor those of parameters."""

    def visit_Assign(self, node: ast.Assign) -> None:
        """Remember what a name stands for."""
        self.read(node.value)

    def visit_Dict(self, node: ast.Dict) -> None:
        """Keys that read like words may be labels; what they stand for counts as usual."""
        for key, value in zip(node.keys, node.values, strict=True):
            self.read(key)
            self.read(value, self.is_marked)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """The values of enumerations are shown as words, and the name of what is being measured is."""
        if any(isinstance(part, ast.FunctionDef) and part.name == MEASURE for part in node.body):
            words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in node.name)
            self.take(f"measuring{words}", node.lineno, True)
        is_enumeration = any(_name(base) == "Enum" for base in node.bases)
        for statement in _undocumented(node.body):
            if is_enumeration and isinstance(statement, ast.Assign):
                self.read(statement.value, marked=True)
            else:
                self.read(statement)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """A function, with what its names stand for."""
        before = self.known
        self.known = {**before, **_choices(node)}
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            self.read(default)
        for statement in _undocumented(node.body):
            self.read(statement)
        self.known = before

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Module(self, node: ast.Module) -> None:
        """A file."""
        for statement in _undocumented(node.body):
            self.read(statement)

    def visit_Expr(self, node: ast.Expr) -> None:
        """A string that stands alone documents what is above it."""
        if not _is_text(node.value):
            self.read(node.value)


def _undocumented(body: Iterable[ast.stmt]) -> list[ast.stmt]:
    return [statement for statement in body if not (isinstance(statement, ast.Expr) and _is_text(statement.value))]


def _choices(function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, ast.expr]:
    """Names that a function assigns once, to a conditional expression."""
    assigned: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            assigned.setdefault(node.targets[0].id, []).append(node.value)
    return {
        name: values[0] for name, values in assigned.items() if len(values) == 1 and isinstance(values[0], ast.IfExp)
    }


def messages(source: str, strict: bool = False) -> list[Message]:
    """The messages of a Python source, in the order of their lines.

    Args:
        source: The text of a file.
        strict: Whether the file writes code, so that only what is marked or said by an error of ours is read.

    Returns:
        Each as often as it stands there.
    """
    finder = _Finder(source, strict)
    finder.visit(ast.parse(source))
    return finder.found


def extract(
    fileobj: IO[bytes], keywords: Any, comment_tags: Any, options: Any
) -> Iterator[tuple[int, str | None, str, list[str]]]:
    """The extraction method for Babel: line, function name (None), message, comments."""
    for message in messages(fileobj.read().decode("utf-8")):
        yield message.line, None, message.text, []


def extract_strictly(
    fileobj: IO[bytes], keywords: Any, comment_tags: Any, options: Any
) -> Iterator[tuple[int, str | None, str, list[str]]]:
    """The same for a file that writes code."""
    for message in messages(fileobj.read().decode("utf-8"), strict=True):
        yield message.line, None, message.text, []
