"""Reports as text: the page to the letter, and nothing that could disturb it."""

from __future__ import annotations

import dataclasses
import io
import math
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from rich.cells import cell_len
from rich.console import Console

from tests.render import samples
from tests.render.strategies import reports
from unstuck.quantity import Quantity, Threshold
from unstuck.render.html import to_html
from unstuck.render.lines import cells
from unstuck.render.page import page
from unstuck.render.text import plain, print_lines, rich_lines
from unstuck.report import Branch, Candidate, Change, Evidence, Finding, Outcome, Report, Status, Trial, Unchecked

SICK = """\
✗ The learning rate is above what the loss surface bears: 3.0 overshoots, and
  lowering it to 0.1 closes 98 % of the shortfall.

The way through the guide

  Is the training loss large?
  │  excess over the best comparison: 0.98 [0.96, 0.99], above 0.1
  │  The run ends at 2.31; the best comparison reaches 0.038, a constant 2.303.
  ├─○ no ── overfitting, mismatch, or it trains
  └─● yes
     Can a robustly optimised copy of this very model go lower?
     │  share of the excess that the copy closes: 1 [0.98, 1.01], above 0.1
     │  The copy reaches 0.041 on the training data and 0.11 on held-out data.
     ├─○ no ── model bias, or the data hold no more
     └─● yes ── optimisation fails

The cause

  OPT001 learning-rate-too-high                                        confirmed
  The learning rate is above what the loss surface bears.
  The step times the sharpest curvature is 41.2, above 2: each step overshoots
  the valley that it should go down.

  rate × sharpest curvature     41.2 [38.9, 43.5], above 2
    2: Cohen et al. 2021, the edge of stability
  steps on which the loss rose  0.48 [0.43, 0.53]

  Why it hurts: A step longer than the surface is curved lands higher on the
  other side of the valley than it started, so the loss rises or rings instead
  of falling.

  The trial: Lower the learning rate from 3.0 to 0.1.
  Paired over 3 seeds at equal budget, 4.1 s; training loss at the end, lower is
  better:

                           seed 0     seed 1     seed 2
    as given                2.305      2.331      2.299
    with the remedy       0.04121    0.03899    0.04233

  The remedy gains 98% of the span [97%, 99.7%]: the cause is confirmed.
  (The span runs from the best constant prediction to the lowest value that
  anything reached.)

          as given, seed 0                     with the remedy, seed 0
          2.31 → 2.18                          2.3 → 0.0423
    2.54 ┤⠴⢲⣠⠿⣄⡖⠦⣄⡞⢧⣰⠲⣄⡴⣆⣰⠦⣄⡴⢲⣀⡶⣄⡤⢤⣠⠶⢤⡴⠲⣄⡴⢦   ┤⢤
         │  ⠉ ⠉    ⠈⠁   ⠈⠁    ⠉               │⠈⢧
         │                                    │ ⠈⢧⡀
         │                                    │   ⠙⢦⡀
         │                                    │     ⠙⠲⣄⣀
  0.0423 ┤                                    ┤        ⠈⠉⠓⠒⠲⠤⠤⠤⠤⢤⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀
         └─────────────────────────────────   └─────────────────────────────────
          0                        step 620    0                        step 620

What to change

  Lower the learning rate to 0.1.

    optimizer.lr   3.0 → 0.1

  `unstuck treat` makes this change by itself.

Also found

  DAT001 inputs-not-normalised                                         suspected
    Feature scales differ by a factor of 312; with one rate for all, the largest
    sets the pace.
    (explained by OPT001) Standardise the inputs with the training statistics.

Ruled out

  SET001 target-shape-broadcast: Outputs [64, 10] and targets [64] do not
      broadcast.
  SET002 probabilities-into-logits-loss: Outputs are not probabilities (rows
      that sum to 1: 0 %, below 99).
  OPT002 learning-rate-too-low: Its remedy gains -13% of the span [-20%, -4%].

Not checked, and why

  MIS004 preprocessing-mismatch: The set-up has no test data; give `test=`.
  CAP001 model-too-small: Optimisation fails first; treat it and examine again.

What it took

  time         11 s of 60 s allowed, the first suspicion after 0.61 s
  trainings    23 of remedies and their controls; one run as given takes 0.84 s
  seeds        0 as given; 0, 1, 2 in the trials
  versions     unstuck 0.1.0, torch 2.13.0, python 3.11.7
  where, when  cpu, 2026-01-31T12:00:00Z
  The same again:
    unstuck diagnose examples/digits.py:rate_too_high --budget 60
"""

HEALTHY = """\
✓ It trains: nothing that was examined keeps it from fitting or from
  generalising.

The way through the guide

  Is the training loss large?
  │  excess over the best comparison: 0.002 [-0.004, 0.008], below 0.1
  │  The run ends at 0.041, the best comparison at 0.038.
  ├─○ yes ── optimisation, model bias or data
  └─● no
     Is the loss large on held-out samples of the training distribution?
     │  held-out excess: 0.04 [0.01, 0.07], below 0.1
     │  Held-out loss 0.11 against 0.041.
     ├─○ yes ── overfitting
     └─● no
        Is the loss large on the test data?
        │  test excess: 0.01 [-0.02, 0.03], below 0.1
        │  Test loss 0.12 against 0.11.
        ├─○ yes ── mismatch of the test data
        └─● no ── it trains

The run

          training loss
          2.3 → 0.0423
     2.3 ┤⠹⣄
         │ ⠘⢦⡀
         │   ⠙⣆
         │    ⠈⠳⢤⣀
         │       ⠈⠙⠲⢤⣀⡀
  0.0423 ┤            ⠉⠙⠒⠒⠒⠒⠦⠤⠤⠤⠤⠤⠤⣄⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀
         └────────────────────────────────────────────
          0                                   step 620

Ruled out

  SET001 target-shape-broadcast: Outputs [64, 10] and targets [64] do not
      broadcast.
  SET002 probabilities-into-logits-loss: Outputs are not probabilities (rows
      that sum to 1: 0 %, below 99).
  OPT002 learning-rate-too-low: Its remedy gains -13% of the span [-20%, -4%].

What it took

  time         6.2 s of 60 s allowed
  trainings    11 of remedies and their controls; one run as given takes 0.84 s
  seeds        0 as given
  versions     unstuck 0.1.0, torch 2.13.0, python 3.11.7
  where, when  cpu, 2026-01-31T12:00:00Z
  The same again:
    unstuck diagnose examples/digits.py:rate_too_high --budget 60
"""

CUT_SHORT = """\
? Stopped before a cause was proven; the learning rate is suspected.
  Cut short; the rest was not examined.
  Stopped by Ctrl-C.

The way through the guide

  No fork was reached, and the examination was cut short: undecided

The strongest suspicion

  OPT001 learning-rate-too-high                                        suspected
  The learning rate is above what the loss surface bears.
  The step times the sharpest curvature is 41.2, above 2: each step overshoots
  the valley that it should go down.

  rate × sharpest curvature     41.2 [38.9, 43.5], above 2
    2: Cohen et al. 2021, the edge of stability
  steps on which the loss rose  0.48 [0.43, 0.53]

  Why it hurts: A step longer than the surface is curved lands higher on the
  other side of the valley than it started, so the loss rises or rings instead
  of falling.

  No trial was run: this is a suspicion, not yet a cause.

         as given, training loss
         2.3 → nan
  4.1e9 ┤                    ⢀⡴⠃      ×      ×      ×
        │                   ⣠⠞
        │                 ⣠⠞⠁
        │               ⢀⡼⠁
        │           ⣀⣠⠤⠖⠋
    2.3 ┤⣀⣀⣀⣀⡤⠤⠤⠤⠖⠚⠉⠁
        └────────────────────────────────────────────
         0                                     step 6
         logarithmic scale

What to try

  Lower the learning rate to 0.1.
  Not proven: `unstuck treat` makes only changes that a trial has shown to help.

Not checked, and why

  the guide: Stopped by Ctrl-C.

What it took

  time         1.9 s of 60 s allowed, the first suspicion after 0.61 s
  trainings    1 of remedies and their controls; one run as given takes 0.84 s
  seeds        0 as given
  versions     unstuck 0.1.0, torch 2.13.0, python 3.11.7
  where, when  cpu, 2026-01-31T12:00:00Z
  The same again:
    unstuck diagnose examples/digits.py:rate_too_high --budget 60
"""


@pytest.mark.parametrize(
    ("report", "page"),
    [(samples.sick(), SICK), (samples.healthy(), HEALTHY), (samples.cut_short(), CUT_SHORT)],
    ids=["sick", "healthy", "cut short"],
)
def test_a_report_reads_to_the_letter(report: Report, page: str) -> None:
    assert plain(report) == page
    assert str(report) == page


@pytest.mark.parametrize("report", [samples.sick(), samples.healthy(), samples.cut_short()])
def test_colour_adds_nothing_but_colour(report: Report) -> None:
    assert [row.rstrip() for row in rich_lines(page(report, 80)).plain.splitlines()] == plain(report).splitlines()
    stream = io.StringIO()
    print_lines(page(report, 80), Console(file=stream, width=80, no_color=True, force_terminal=False))
    assert [row.rstrip() for row in stream.getvalue().splitlines()] == plain(report).splitlines()


def test_a_terminal_gets_colours() -> None:
    stream = io.StringIO()
    print_lines(page(samples.sick(), 80), Console(file=stream, width=80, force_terminal=True, color_system="standard"))
    assert "\x1b[31mOPT001 learning-rate-too-high" in stream.getvalue()


@settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
@given(report=reports)
def test_no_line_is_wider_than_the_page_and_nothing_hostile_gets_through(report: Report) -> None:
    text = plain(report)
    for row in text.split("\n"):
        assert cells(row) <= 80
        assert cell_len(row) <= 80
        assert len(row) <= 80
        assert not any(unicodedata.category(character).startswith("C") for character in row)
    assert rich_lines(page(report, 80)).plain.rstrip() == text.rstrip() or [
        row.rstrip() for row in rich_lines(page(report, 80)).plain.split("\n")
    ] == [row.rstrip() for row in text.rstrip("\n").split("\n")]


@pytest.mark.parametrize("width", [60, 72, 80])
def test_a_narrower_terminal_gets_a_narrower_page(width: int) -> None:
    for report in (samples.sick(), samples.healthy(), samples.cut_short()):
        assert max(map(cells, plain(report, width).splitlines())) <= width


def test_markup_and_control_characters_are_shown_and_not_obeyed() -> None:
    report = dataclasses.replace(samples.healthy(), sentence="layer [red]\x1b[31m\n[/red] trains")
    assert "✓ layer [red]\\x1b[31m [/red] trains" in plain(report)
    stream = io.StringIO()
    print_lines(page(report, 80), Console(file=stream, width=80, force_terminal=True, color_system="standard"))
    assert "layer [red]\\x1b[31m [/red] trains" in stream.getvalue()


def _with_trial(trial: Trial, status: Status = Status.CONFIRMED) -> Report:
    report = samples.sick()
    cause: Finding = dataclasses.replace(report.findings[0], trial=trial, status=status)
    return dataclasses.replace(report, findings=(cause,))


def test_a_score_that_is_not_finite_is_named() -> None:
    trial = dataclasses.replace(samples.trial(), before=(float("nan"), float("inf"), 2.3))
    row = next(row for row in plain(_with_trial(trial)).splitlines() if row.startswith("    as given  "))
    assert row.split() == ["as", "given", "nan", "inf", "2.3"]


def test_a_trial_that_came_to_no_result_shows_no_numbers() -> None:
    trial = dataclasses.replace(
        samples.trial(), seeds=(), before=(), after=(), curves=(), outcome=Outcome.UNDECIDED,
        gain=Quantity("gain", math.nan), note="the time allowed only 1 of the 180 steps",
    )  # fmt: skip
    text = plain(_with_trial(trial, Status.SUSPECTED))
    assert "It came to no result: no seed was run to its end." in text and "1 of the 180 steps" in text
    assert "nan" not in text and "0 seeds" not in text
    page = to_html(_with_trial(trial, Status.SUSPECTED))
    assert "It came to no result" in page and "gains nan" not in page


def test_a_fork_that_could_not_be_measured_shows_its_reason_alone() -> None:
    report = samples.sick()
    question = dataclasses.replace(
        report.questions[0], answer=Outcome.UNDECIDED, because="it could not be trained",
        quantity=dataclasses.replace(report.questions[0].quantity, value=math.nan, low=None, high=None),
    )  # fmt: skip
    text = plain(dataclasses.replace(report, questions=(question,)))
    assert "it could not be trained" in text and "nan" not in text


def test_many_seeds_are_summed_up_as_a_range() -> None:
    seeds = tuple(range(20))
    before, after = tuple(2 + seed / 10 for seed in seeds), (0.5,) * 19 + (float("nan"),)
    trial = dataclasses.replace(samples.trial(), seeds=seeds, before=before, after=after)
    text = plain(_with_trial(trial))
    assert "    as given          2 to 3.9\n" in text
    assert "    with the remedy   0.5 to 0.5, 1 not finite\n" in text


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome.PRESENT, "the cause is confirmed."),
        (Outcome.ABSENT, "the suspicion is refuted."),
        (Outcome.UNDECIDED, "the trial leaves it open."),
    ],
)
def test_a_trial_says_what_it_came_to(outcome: Outcome, words: str) -> None:
    trial = dataclasses.replace(samples.trial(), outcome=outcome)
    assert words in " ".join(plain(_with_trial(trial, Status.SUSPECTED)).split())


def test_an_undecided_fork_takes_neither_way() -> None:
    report = samples.healthy()
    question = dataclasses.replace(report.questions[0], answer=Outcome.UNDECIDED)
    text = plain(dataclasses.replace(report, questions=(question,)))
    assert "├─○ yes" in text and "├─○ no" in text and "└─◐ undecided" in text and "●" not in text


def test_a_cause_before_the_guide_is_not_hung_on_its_last_fork() -> None:
    text = plain(dataclasses.replace(samples.sick(), branch_taken=Branch.SETUP))
    assert "└─● yes ── optimisation fails\n" in text
    assert "Trying it out led elsewhere: the program does not do what its author means." in text


def test_an_error_that_is_the_verdict_is_said_once() -> None:
    report = dataclasses.replace(samples.cut_short(), sentence="It broke.", error="It broke.")
    assert plain(report).count("It broke.") == 1


def test_an_error_stands_under_the_verdict() -> None:
    report = dataclasses.replace(samples.cut_short(), error="The loss stage must run; got ValueError. Mend it.")
    head = plain(report).split("\n\n")[0]
    assert "The loss stage must run; got ValueError. Mend it." in head
    assert "Cut short; the rest was not examined." in head


def test_curves_of_the_training_loss_prove_nothing_about_other_scores() -> None:
    trial = dataclasses.replace(samples.trial(), score="held-out loss")
    text = plain(_with_trial(trial))
    assert "with the remedy, seed 0" not in text and "as given, as given, seed 0" in text


def test_a_suspicion_that_the_way_passes_by_is_said_to_be_unproven() -> None:
    report = samples.healthy()
    first, second, third = report.questions
    questions = (first, dataclasses.replace(second, answer=Outcome.PRESENT), third)
    assert "└─● yes ── overfitting suspected, not proven\n" in plain(dataclasses.replace(report, questions=questions))


def test_what_was_found_on_the_way_stands_where_the_way_ends() -> None:
    report = samples.sick()
    text = plain(dataclasses.replace(report, questions=report.questions[:1], branch_taken=Branch.SETUP))
    assert "└─● yes ── the program does not do what its author means\n" in text
    assert "elsewhere" not in text


def test_a_reason_that_many_share_is_given_once() -> None:
    subjects = [f"OPT{number:03} some-rule" for number in range(9)]
    unchecked = tuple(Unchecked(subject, "treat it first") for subject in subjects)
    text = " ".join(plain(dataclasses.replace(samples.sick(), unchecked=unchecked)).split())
    assert f"{', '.join(subjects)}: Treat it first. What it took" in text


def test_what_is_proven_by_its_measurement_is_not_called_a_suspicion() -> None:
    report = samples.sick()
    finding = dataclasses.replace(report.findings[0], trial=None)
    suspected = dataclasses.replace(finding, status=Status.SUSPECTED)
    proven = dataclasses.replace(finding, status=Status.CONFIRMED)
    said = [" ".join(plain(dataclasses.replace(report, findings=(each,))).split()) for each in (suspected, proven)]
    assert "this is a suspicion, not yet a cause" in said[0] and "proof by itself" not in said[0]
    assert "Measured, and proof by itself" in said[1] and "not yet a cause" not in said[1]


def test_long_names_of_numbers_are_wrapped_and_a_shared_origin_is_given_once() -> None:
    limit = Threshold(10.0, "1", "a paper")
    names = ["typical size (root mean square) of an input feature", "largest size of an input feature / typical size"]
    report = samples.sick()
    evidence = tuple(Evidence(Quantity(name, 143.0), limit) for name in names)
    verdict = dataclasses.replace(report.findings[0].verdict, evidence=evidence)
    finding = dataclasses.replace(report.findings[0], verdict=verdict)
    assert plain(dataclasses.replace(report, findings=(finding,))).count("""\
  typical size (root mean square) of    143, above 10
  an input feature
  largest size of an input feature /    143, above 10
  typical size
    10: a paper
""")


def test_what_each_change_gained_is_listed_best_first() -> None:
    tried = tuple(
        Candidate((Change("weight_decay", "0", f"{place}"),), 0.5 + 0.01 * place, 0.9 - 0.05 * place)
        for place in range(12)
    )
    text = plain(_with_trial(dataclasses.replace(samples.trial(), candidates=tried)))
    assert "  12 changes were tried, each by itself, on the first seed:\n" in text
    assert "     90%        0.5  weight_decay: 0\n     85%       0.51  weight_decay: 1\n" in text
    assert "and 2 that gained less, in the JSON report" in text
    few = plain(_with_trial(dataclasses.replace(samples.trial(), candidates=tried[:2])))
    assert "changes were tried" not in few
