"""The catalogues are in step with the sources, and what is translated is translated rightly."""

from functools import cache

import pytest
from babel.messages.catalog import Catalog

from tools.messages.catalogues import (
    DOMAINS,
    FOLDER,
    MERGED,
    Source,
    compiled,
    extracted,
    faults,
    path_of,
    read,
    updated,
)


@cache
def messages() -> dict[str, dict[str, Source]]:
    return extracted()


@pytest.mark.parametrize("domain", DOMAINS)
def test_no_message_is_missing_or_stale(domain: str) -> None:
    assert path_of(domain).read_bytes() == updated(domain, messages()[domain]), "`make messages` brings it in step"


def test_the_compiled_catalogue_is_that_of_the_sources() -> None:
    assert (FOLDER / "zh" / "LC_MESSAGES" / MERGED).read_bytes() == compiled(), "`make messages` compiles it"


@pytest.mark.parametrize("domain", DOMAINS)
def test_translations_keep_holes_codes_and_numbers(domain: str) -> None:
    wrong = list(faults(read(path_of(domain))))
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "translation", "fault"),
    [
        ("{0} of {1} layers", "{0} 层", "missing ['1']"),
        ("{0} of {1} layers", "{0}{1}{1} 层", "too many ['1']"),
        ("see OPT001 first", "先看 OPT002", "missing ['OPT001']"),
        ("at least 10 % of it", "至少 11 %", "numbers differ"),
        ("call `loss` first", "先调用损失", "missing ['`loss`']"),
        ("the loss fell", "", "it is not translated"),
        ("the loss fell", "the loss fell", "the English text"),
    ],
)
def test_a_wrong_translation_is_told(text: str, translation: str, fault: str) -> None:
    catalogue = Catalog(locale="zh")
    catalogue.add(text, translation)
    assert any(fault in what for _, what in faults(catalogue))


def test_a_fuzzy_translation_is_told() -> None:
    catalogue = Catalog(locale="zh")
    catalogue.add("the loss fell", "损失下降了", flags={"fuzzy"})
    assert [what for _, what in faults(catalogue)] == ["it is marked fuzzy"]


def test_a_right_translation_has_no_fault() -> None:
    catalogue = Catalog(locale="zh")
    catalogue.add("{0} of {1} layers, by OPT001 and `loss`, at 10 %", "{1} 层中的 {0} 层（OPT001、`loss`，10 %）")
    assert list(faults(catalogue)) == []
