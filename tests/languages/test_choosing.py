"""Which language is spoken: as asked for, else as the environment has it, else English."""

import contextvars
import sys

import pytest

from unstuck.errors import SetupError
from unstuck.languages import current, language_of, use
from unstuck.languages.choosing import VARIABLES


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("zh", "zh"), ("zh_CN", "zh"), ("zh_CN.UTF-8", "zh"), ("zh-Hans", "zh"), ("ZH_cn.utf8@x", "zh"), ("C", "en"),
        ("POSIX", "en"), ("C.UTF-8", "en"), ("de_DE.UTF-8", "en"), ("", "en"), ("zhuang", "en"), ("en_GB", "en"),
    ],
)  # fmt: skip
def test_a_locale_stands_for_a_language(locale: str, language: str) -> None:
    assert language_of(locale) == language


def test_without_anything_it_is_english() -> None:
    assert current() == "en"


def test_the_first_variable_that_is_set_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert current() == "zh"
    monkeypatch.setenv("LC_MESSAGES", "C")
    assert current() == "en"
    monkeypatch.setenv("LC_ALL", "")  # as good as not set
    assert current() == "en"
    monkeypatch.setenv("UNSTUCK_LANG", "zh")
    assert current() == "zh"


def test_what_is_asked_for_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    with use("en"):
        assert current() == "en"
        with use("zh_CN"):
            assert current() == "zh"
        assert current() == "en"
    assert current() == "zh"


def test_without_a_block_it_lasts() -> None:
    def inside() -> str:
        use("zh")
        return current()

    assert contextvars.copy_context().run(inside) == "zh"
    assert current() == "en"


def test_a_language_without_a_catalogue_is_refused() -> None:
    with pytest.raises(ValueError, match="one of en, zh; got 'fr'"):
        use("fr")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have no notes before Python 3.11")
def test_an_error_is_english_and_carries_the_readers_language_as_a_note() -> None:
    must, got, do = "`epochs` must be at least 0", "-1", "Give `epochs` at least 0."
    english = SetupError(must, got, do)
    with use("zh"):
        chinese = SetupError(must, got, do)
    assert str(chinese) == str(english)
    assert not hasattr(english, "__notes__")
    (note,) = chinese.__notes__
    assert any("\u4e00" <= letter <= "\u9fff" for letter in note)
