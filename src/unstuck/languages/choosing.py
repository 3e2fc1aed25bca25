"""Which language: what was asked for, else what the environment says, else English."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Final, ParamSpec, TypeVar, final

P = ParamSpec("P")
R = TypeVar("R")

ENGLISH: Final = "en"
LANGUAGES: Final[Mapping[str, str]] = {ENGLISH: "English", "zh": "简体中文"}
"""Code → own name."""

OWN_VARIABLE: Final = "UNSTUCK_LANG"
VARIABLES: Final = (OWN_VARIABLE, "LC_ALL", "LC_MESSAGES", "LANG")
"""The first that is set decides, as POSIX has it."""

_chosen: ContextVar[str | None] = ContextVar("unstuck language", default=None)


def language_of(locale: str) -> str:
    """The language that a locale stands for.

    Args:
        locale: Such as "zh", "zh_CN.UTF-8", "zh-Hans", "C" or "de_DE@euro".

    Returns:
        A code of `LANGUAGES`; English where there is no catalogue for it.
    """
    code = locale.strip().lower().replace("-", "_").partition(".")[0].partition("@")[0].partition("_")[0]
    return code if code in LANGUAGES else ENGLISH


def current() -> str:
    """The language in use here: that of `use`, else of the environment, else English."""
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    return next((language_of(os.environ[name]) for name in VARIABLES if os.environ.get(name)), ENGLISH)


@final
class use:  # noqa: N801 (called like a function, and in `with`)
    """Read reports in a language from here on, or within a `with` block.

    It holds for the current context (`contextvars`): a thread started elsewhere follows the environment.

    Args:
        language: A code of `LANGUAGES`, such as "zh", or a locale of one, such as "zh_CN".

    Raises:
        ValueError: If there is no catalogue for it.
    """

    def __init__(self, language: str) -> None:
        code = language_of(language)
        if code == ENGLISH and not language.strip().lower().startswith(ENGLISH):
            raise ValueError(f"`language` must be one of {', '.join(LANGUAGES)}; got {language!r}. Choose one of them.")
        self._before = _chosen.get()
        _chosen.set(code)

    def __enter__(self) -> None:
        """Nothing more; the language is in use already."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Go back to the language before."""
        _chosen.set(self._before)


def in_english(write: Callable[P, R]) -> Callable[P, R]:
    """Let a function write English whatever the language of the reader: what it writes is for machines.

    Args:
        write: The function.

    Returns:
        The same, in English.
    """

    @functools.wraps(write)
    def written(*arguments: P.args, **named: P.kwargs) -> R:
        with use(ENGLISH):
            return write(*arguments, **named)

    return written
