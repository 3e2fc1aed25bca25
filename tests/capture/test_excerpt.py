"""The statements of a script that make its parts, taken out of its source."""

from __future__ import annotations

from pathlib import Path

import pytest

from unstuck.capture.excerpt import Unwritable, epochs_of, excerpt, line_of

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def taken(source: str, *names: str, training: str = ".step()") -> tuple[str, str]:
    line = next(number for number, text in enumerate(source.splitlines(), 1) if training in text)
    found = excerpt(source, [(name, line_of(source, name)) for name in names], line, ["--epochs", "2"])
    return "\n".join(found.module), "\n".join(found.body)


def test_a_main_function_gives_what_makes_the_parts_and_leaves_the_training_out() -> None:
    source = (SCRIPTS / "digits_mlp.py").read_text()
    module, body = taken(source, "model", "optimizer", "train_loader")
    assert "class Net(nn.Module):" in module and "def train(" not in module and "StepLR" not in module
    assert "args = parser.parse_args(['--epochs', '2'])" in body and "torch.manual_seed(args.seed)" in body
    assert "test_loader" not in body and "epoch in range" not in body
    wanted = [("model", line_of(source, "model"))]
    assert epochs_of(source, wanted) == "len(range(1, args.epochs + 1))"


def test_what_definitions_read_stays_at_module_level_in_the_order_of_the_script() -> None:
    module, body = taken((SCRIPTS / "tiny_gpt.py").read_text(), "model", "optimizer")
    assert body == ""
    assert module.index("manual_seed(1337)") < module.index("vocab_size, block_size") < module.index("class Block")
    assert module.rstrip().endswith("optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)")


def test_changes_of_a_part_are_kept_and_other_statements_are_not() -> None:
    source = (
        "import torch, os\nlog = open(os.devnull)\nmodel = torch.nn.Linear(2, 1)\n"
        "for p in model.parameters():\n    p.requires_grad = False\n"
        "model.bias.requires_grad = True\nprint(model)\n"
        "optimizer = torch.optim.SGD(model.parameters(), 0.1)\noptimizer.step()\nmodel.bias = None\n"
    )
    module, body = taken(source, "model", "optimizer")
    assert module == "import torch"
    assert body.splitlines()[1:] == [
        "for p in model.parameters():",
        "    p.requires_grad = False",
        "model.bias.requires_grad = True",
        "optimizer = torch.optim.SGD(model.parameters(), 0.1)",
    ]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("class T:\n    def __init__(self):\n        self.a = a = 1\n        a.step()\n", "inside the class T"),
        ("def f(n):\n    a = n\n    a.step()\n", "`f`, line 1, is given `n`"),
        ("for i in range(3):\n    a = i\n    a.step()\n", "after the start of the training or inside it"),
    ],
)
def test_what_cannot_be_taken_is_said(source: str, said: str) -> None:
    with pytest.raises(Unwritable, match=said):
        taken(source, "a")
