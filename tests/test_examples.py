"""The examples: each set-up builds, the healthy ones train."""

import importlib
from types import ModuleType

import pytest
import torch

import unstuck

NAMES = ("digits_mlp", "digits_cnn", "breast_cancer", "wine", "diabetes")
EXAMPLES = {name: importlib.import_module(f"examples.{name}") for name in NAMES}
FAULTS = [(name, fault) for name, module in EXAMPLES.items() for fault in module.FAULTS]


@pytest.fixture(params=NAMES)
def example(request: pytest.FixtureRequest) -> ModuleType:
    return EXAMPLES[request.param]


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_each_fault_builds_and_takes_two_steps(name: str, fault: str) -> None:
    setup = getattr(EXAMPLES[name], fault)()
    assert isinstance(setup, unstuck.Setup)
    if fault == "target_shape_broadcast":  # torch itself warns of this one
        with pytest.warns(UserWarning, match="target size"):
            run = unstuck.fit(setup, steps=2, validate=False)
    else:
        run = unstuck.fit(setup, steps=2, validate=False)
    assert len(run.losses) == 2


def test_each_names_two_to_four_faults_by_their_codes(example: ModuleType) -> None:
    assert 2 <= len(example.FAULTS) <= 4
    assert all(len(code) == 6 and code[:3].isupper() and code[3:].isdigit() for code in example.FAULTS.values())


def test_each_shows_how_to_diagnose_itself_and_a_fault_of_its_own(example: ModuleType) -> None:
    name = example.__name__.rsplit(".", 1)[1]
    assert f"unstuck diagnose examples/{name}.py\n" in (example.__doc__ or "")
    assert any(f"unstuck diagnose examples/{name}.py:{fault}\n" in (example.__doc__ or "") for fault in example.FAULTS)


def test_the_healthy_one_learns(example: ModuleType) -> None:
    run = unstuck.fit(example.setup())
    assert run.validation_losses[-1] < 0.7 * run.validation_losses[0] or run.validation_losses[-1] < 0.2


def test_the_healthy_one_has_three_splits(example: ModuleType) -> None:
    setup = example.setup()
    assert setup.validation is not None
    assert setup.test is not None


def test_building_moves_no_random_generator(example: ModuleType) -> None:
    before = torch.random.get_rng_state()
    example.setup()
    assert torch.equal(torch.random.get_rng_state(), before)
