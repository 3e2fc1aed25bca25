"""What of a source file becomes a message, and what does not."""

import textwrap

import pytest

from tools.messages.python import messages


def found(source: str) -> list[str]:
    return [message.text for message in messages(textwrap.dedent(source))]


def test_an_f_string_becomes_a_template_without_formats() -> None:
    assert found('x = f"One step changed the weights by {ratio:.2%} of their {what!r}."') == [
        "One step changed the weights by {0} of their {1}."
    ]


def test_texts_joined_by_plus_or_side_by_side_are_one_message() -> None:
    assert found('x = "The loss " f"is {loss:g}" + ", and " + reason + " is why."') == [
        "The loss is {0}, and {1} is why."
    ]


@pytest.mark.parametrize("choice", ["'s' if count != 1 else ''", "'s' * (count != 1)"])
def test_a_choice_of_endings_gives_a_message_each(choice: str) -> None:
    source = f"""x = f"{{count}} layer{{{choice}}} {{'are' if count != 1 else 'is'}} frozen." """
    assert found(source) == ["{0} layers are frozen.", "{0} layer is frozen."]


def test_a_name_that_stands_for_a_choice_is_looked_up() -> None:
    source = """
    def judge(count):
        ending = "" if count == 1 else "s"
        return f"{count} seed{ending} in the trial"
    """
    assert found(source) == ["{0} seed in the trial", "{0} seeds in the trial"]


def test_longer_choices_are_messages_of_their_own() -> None:
    source = """x = f"The loss {'did not fall at all' if flat else 'rose to the end'} here." """
    assert found(source) == ["The loss {0} here.", "did not fall at all", "rose to the end"]


def test_single_words_count_where_their_place_says_so() -> None:
    source = """
    import enum
    class Status(enum.Enum):
        CONFIRMED = "confirmed"
    a = Quantity("momentum", 0.9, "steps")
    b = parser.add_argument("--seed", metavar="N", help="seed")
    c = Threshold(1.0, "epochs", "Smith 2017")
    d = marked("layers")
    e = other("unmarked")
    """
    assert found(source) == ["confirmed", "momentum", "steps", "seed", "epochs", "Smith 2017", "layers"]


@pytest.mark.parametrize(
    "source",
    [
        '"""What a file holds, in words."""',
        'def f():\n    """What it does, in words."""',
        'LIMIT = 3\n"""What the limit is for."""',
        'raise ValueError(f"a threshold must have a value; got {x}")',
        'x = re.compile("some words here")',
        'PATTERNS = ((r"out of memory", 1),)',
        'x = "SELECT name FROM runs WHERE id = 1"',
        'x = "color: red; border: none;"',
        'x = "<p class=note>"',
        'Case("Adam at a rate of 3e-5, far too low", make, Outcome.PRESENT)',
        'x = text == "two words" or "two words" in text',
        'x = table["two words"]',
        "x: \"Literal['two words']\" = None",
        'x = text.startswith("two words")',
        'x = "one two three".split()',
        'x = "training_loss"',
    ],
)
def test_what_nobody_reads_is_no_message(source: str) -> None:
    assert found(source) == []


def test_our_own_errors_are_read() -> None:
    source = 'raise SetupError("`loss` must return a scalar", f"shape {shape}", "Use .mean().")'
    assert found(source) == ["`loss` must return a scalar", "shape {0}", "Use .mean()."]


def test_what_a_hole_between_backticks_chooses_between_is_code() -> None:
    source = """x = f"all must have the same `{'train' if folds else 'validation'}` samples" """
    assert found(source) == ["all must have the same `{0}` samples"]


@pytest.mark.parametrize(
    "source",
    [
        'x = "max(datum.from, datum.to)"',
        'STYLES = {"heading": "bold underline"}',
        'command = f"unstuck replay {path.name}"',
        'x = within(report.chart, "History", "record", "rates")',
    ],
)
def test_expressions_styles_and_commands_are_no_messages(source: str) -> None:
    assert found(source) == []


def test_the_names_of_quantities_with_an_interval_are_messages() -> None:
    assert found('x = Quantity.within("gap", value, interval, "loss")') == ["gap", "loss"]


def test_what_is_being_measured_is_told_by_its_class() -> None:
    assert found("class NoiseFloor:\n    @classmethod\n    def measure(cls): ...") == ["measuring noise floor"]
    assert found("class NoiseFloor:\n    def judge(cls): ...") == []


def test_in_a_file_that_writes_code_only_what_is_marked_or_raised_is_a_message() -> None:
    source = """
    lines = ["return the outputs of it", told(marked(f"make the {name} here"))]
    raise Unwritable(f"it is computed in {mode} precision")
    """
    assert [message.text for message in messages(textwrap.dedent(source), strict=True)] == [
        "make the {0} here",
        "it is computed in {0} precision",
    ]
