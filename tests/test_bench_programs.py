"""The benchmark's real programs: what is on record fits them, and how repairs are judged."""

import pytest
import torch

from bench.programs import Program, established, programs
from bench.programs.establish import middle, score, share_closed, verdict
from bench.programs.pieces import clipped, clipped_binary_cross_entropy

EVERY = programs()


def test_every_program_has_an_id_of_its_own() -> None:
    assert len({program.id for program in EVERY}) == len(EVERY)
    assert set(established()) <= {program.id for program in EVERY}


@pytest.mark.parametrize("program", EVERY, ids=lambda program: program.id)
def test_what_is_established_is_about_the_causes_given(program: Program) -> None:
    if program.id not in established():
        pytest.skip("not established yet")
    found = established()[program.id]
    assert set(found["causes"]) == set(program.causes)
    assert program.truth and set(program.truth) <= set(program.causes)
    assert found["reproduced"] and found["healthy"]


@pytest.mark.filterwarnings("ignore:Using a target size")  # that is what ails some of them
@pytest.mark.parametrize("program", EVERY, ids=lambda program: program.id)
def test_given_and_repaired_take_one_batch(program: Program) -> None:
    for repaired in (frozenset[str](), frozenset(program.causes)):
        setup = program.build(repaired)
        assert setup.loss is not None
        _, model, _ = setup.fresh()
        model.eval()
        batch = setup.train.head(8)[0]
        loss = setup.loss(setup.outputs(model, batch), setup.targets(batch))
        assert loss.shape == ()


def test_score_of_classes_in_one_column_is_by_class_number() -> None:
    labels = torch.tensor([[0.0], [1.0], [2.0], [0.0]])
    assert score("classes", torch.zeros(4, 1), labels) == 0.5
    assert score("classes", torch.eye(3)[[0, 1, 2, 1]], labels.flatten().long()) == 0.75


def test_score_of_values_is_their_mean_explained_variance() -> None:
    wanted = torch.tensor([[0.0], [1.0], [2.0]])
    assert score("regression", wanted, wanted) == 1.0
    assert score("regression", torch.ones(3, 1), wanted) == 0.0
    assert score("regression", torch.cat([wanted, torch.ones(3, 1)], dim=1), wanted) == 0.5
    assert score("regression", torch.full((3, 1), torch.nan), wanted) == -1.0


@pytest.mark.parametrize(
    ("loss", "labels", "expected"),
    [
        (clipped_binary_cross_entropy, [0.0, 1.0], 0.5),
        (torch.nn.BCEWithLogitsLoss(), [0.0, 1.0], 0.0),
        (torch.nn.MSELoss(), [0.0, 1.0], 0.5),
        (torch.nn.MSELoss(), [-1.0, 1.0], 0.0),
    ],
)
def test_the_middle_is_where_one_output_is_undecided(
    loss: torch.nn.Module, labels: list[float], expected: float
) -> None:
    assert middle(loss, torch.tensor(labels).unsqueeze(1)) == expected


def test_verdicts_follow_the_shares_closed() -> None:
    given, full = [0.5, 0.5, 0.5], [0.9, 0.9, 0.9]
    all_of_it, none_of_it = share_closed(given, full, full), share_closed(given, given, full)
    assert all_of_it["share"] == 1.0 and none_of_it["share"] == 0.0
    assert verdict(all_of_it, none_of_it) == "sufficient"
    assert verdict(none_of_it, none_of_it) == "necessary"
    assert verdict(none_of_it, all_of_it) == "by-stander"


def test_clipped_optimizer_takes_no_longer_step_than_the_norm() -> None:
    weight = torch.nn.Parameter(torch.zeros(4))
    optimizer = clipped(torch.optim.SGD([weight], lr=1.0), 0.5)
    weight.grad = torch.full((4,), 100.0)
    optimizer.step()
    assert weight.detach().norm().item() == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("program", EVERY, ids=lambda program: program.id)
def test_what_is_true_besides_is_no_other_truth(program: Program) -> None:
    assert set(program.also) <= set(program.causes) - set(program.truth)
    sufficient = {
        code for code, found in established()[program.id]["causes"].items() if found["verdict"] == "sufficient"
    }
    assert not (sufficient and program.also)
