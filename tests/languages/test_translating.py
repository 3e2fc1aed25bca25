"""Sentences in another language: found whole, by their template, or piece by piece; the rest stays as it is."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unstuck.languages.translating import Messages, paragraphs

CHINESE = Messages(
    {
        "The loss fell.": "损失下降了。",
        "The learning rate is too high.": "学习率过高。",
        "None": "没有",
        "where:": "位置：",
        "the data": "数据",
        "mean squared error": "均方误差",
        "{0} of a layer's units are zero on every sample.": "层中{0}的单元对所有样本都为零。",
        "{0} of {1} units died": "{1} 个单元中有 {0} 个死亡",
        "{0}. Proven by trying: the remedy takes the {1} from {2} to {3}.": "{0}。试验证明：对策使{1}从 {2} 降到 {3}。",
        "{0}; got {1}. {2}": "{0}；得到 {1}。{2}",
        "`{0}` must be a whole number": "`{0}` 必须是整数",
        "Leave it out.": "省略它。",
        "no {0}": "没有 {0}",
    }
)


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("The loss fell.", "损失下降了。"),
        ("the loss fell", "损失下降了"),
        ("None of a layer's units are zero on every sample.", "层中没有的单元对所有样本都为零。"),
        ("At 3.5% of a layer's units are zero on every sample.", "层中 At 3.5% 的单元对所有样本都为零。"),
        ("3 of 128 units died", "128 个单元中有 3 个死亡"),
        (
            "The learning rate is too high. Proven by trying: the remedy takes the mean squared error from 2.3 to 0.1.",
            "学习率过高。试验证明：对策使均方误差从 2.3 降到 0.1。",
        ),
        (
            "`steps` must be a whole number; got 'three; four'. Leave it out.",
            "`steps` 必须是整数；得到 'three; four'。省略它。",
        ),
        ("The loss fell. The learning rate is too high.", "损失下降了。学习率过高。"),
        ("the data, mean squared error", "数据，均方误差"),
        (" where: ", " 位置："),
        ("encoder.layers.0", "encoder.layers.0"),
        ("0.25", "0.25"),
        ("", ""),
        ("no one ever wrote this sentence into a catalogue", "no one ever wrote this sentence into a catalogue"),
    ],
)
def test_a_sentence_is_found_by_what_made_it(english: str, chinese: str) -> None:
    assert CHINESE.translated(english) == chinese


def test_the_more_specific_template_wins() -> None:
    messages = Messages({"{0} of the units": "A{0}", "{0} of the units died in training": "B{0}"})
    assert messages.translated("3 of the units died in training") == "B3"


def test_the_holes_may_change_their_order() -> None:
    messages = Messages({"from {0} to {1} and {2}": "{2} {0} {1}"})
    assert messages.translated("from a to b and c") == "c a b"


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_goes_through(text: str) -> None:
    assert isinstance(CHINESE.translated(text), str)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["; got ", ". ", " of ", "no ", "None", "x" * 50, " units died", ", "]), max_size=400))
def test_hostile_text_takes_no_time(pieces: list[str]) -> None:
    start = time.perf_counter()
    CHINESE.translated("".join(pieces))
    assert time.perf_counter() - start < 2.0


def test_what_a_hole_holds_is_never_read_as_a_hole() -> None:
    assert CHINESE.translated("{1} of {0} units died") == "{0} 个单元中有 {1} 个死亡"


def test_paragraphs_are_joined_from_their_lines() -> None:
    assert paragraphs("one\n  two\n\n\nthree\n") == ["one two", "three"]


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("5 units", "5 个单元"),
        ("fc1 died", "层 fc1 死亡"),
        ("the data died", "层数据死亡"),
        ("(fc1) died", "层(fc1)死亡"),
        ("33% died", "层 33% 死亡"),
        ("only fc1", "只有 fc1"),
        ("only the data", "只有数据"),
        ("only the data counts", "只有数据算数"),
        ("only 3 counts", "只有 3 算数"),
        ("the call of `data`", "调用 `data`"),
    ],
)
def test_a_space_stands_between_chinese_and_latin_and_none_within_chinese(english: str, chinese: str) -> None:
    messages = Messages(
        {
            "{0} units": "{0}个单元", "{0} died": "层{0}死亡", "the data": "数据", "only {0}": "只有{0}",
            "data": "数据", "only {0} counts": "只有 {0} 算数", "the call of `{0}`": "调用 `{0}`",
        }
    )  # fmt: skip
    assert messages.translated(english) == chinese


def test_a_weak_template_takes_names_but_no_sentences() -> None:
    messages = Messages({"module {0}": "模块 {0}"})
    assert messages.translated("module encoder.layers.0") == "模块 encoder.layers.0"
    assert messages.translated("module that nobody wrote down") == "module that nobody wrote down"


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("From 1 to 2.5, a factor of 2.5.", "从 1 到 2.5，相差 2.5 倍。"),  # the stop is none of the number's
        ("From 1 to 2, a factor of 2; 3 features are left out.", "从 1 到 2，相差 2 倍；3 个特征略去。"),
        ("7 as given; 0, 1, 2 in the trials", "原样为 7；试验中为 0, 1, 2"),
        ("Softmax(dim=1) → removed", "Softmax(dim=1) → 已移除"),
    ],
)
def test_holes_end_where_the_sentence_or_the_clause_does(english: str, chinese: str) -> None:
    messages = Messages(
        {
            "From {0} to {1}, a factor of {2}": "从 {0} 到 {1}，相差 {2} 倍",
            "; {0} features are left out": "；{0} 个特征略去",
            "{0} in the trials": "试验中为 {0}", "{0} as given": "原样为 {0}", "removed": "已移除",
        }
    )  # fmt: skip
    assert messages.translated(english) == chinese
