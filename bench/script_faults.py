"""Mistakes in the scripts of `tests/scripts`: each is what a person would have typed in place of what is there.

What it is right to name was written down before any of them was examined.
"""

from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "tests" / "scripts"


@dataclass(frozen=True)
class Fault:
    """One mistake in one script.

    Attributes:
        script: Which, by its name in the folder.
        what: The mistake, in a few words.
        codes: The diagnosis, and others that the mistake makes true besides.
        edits: Text of the script → what stands there instead; each text is there once.
    """

    script: str
    what: str
    codes: tuple[str, ...]
    edits: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """Such as "digits_cnn: gradients never cleared"."""
        return f"{self.script}: {self.what}"

    def source(self) -> str:
        """The sick script.

        Raises:
            ValueError: If a text is not there, or more than once.
        """
        text = (SCRIPTS / f"{self.script}.py").read_text()
        for old, new in self.edits:
            if text.count(old) != 1:
                raise ValueError(f"{old!r} must be in {self.script} once; got {text.count(old)}")
            text = text.replace(old, new)
        return text


def _fault(script: str, what: str, codes: str, *edits: tuple[str, str]) -> Fault:
    return Fault(script, what, tuple(codes.split()), edits)


FAULTS = (
    _fault(
        "digits_mlp",
        "Adadelta's rate of 1 given to Adam",
        "OPT001",
        ("optim.Adadelta(", "optim.Adam("),
    ),
    _fault(
        "digits_mlp",
        "raw scores into nll_loss",
        "SET003",
        ("        return F.log_softmax(x, dim=1)\n", "        return x\n"),
    ),
    _fault(
        "digits_mlp",
        "the images are shuffled, the labels are not",
        "DAT006 SET014",
        ("images, labels = images[order], labels[order]", "images = images[order]"),
    ),
    _fault(
        "digits_cnn",
        "gradients never cleared",
        "SET006",
        ("        optimizer.zero_grad()\n", ""),
    ),
    _fault(
        "digits_cnn",
        "softmax before CrossEntropyLoss",
        "SET002",
        ("    nn.Linear(16 * 4 * 4, 10),\n", "    nn.Linear(16 * 4 * 4, 10),\n    nn.Softmax(dim=1),\n"),
    ),
    _fault(
        "logistic",
        "inputs not standardised",
        "DAT001",
        ("    sc = StandardScaler()\n    X_train, X_test = sc.fit_transform(X_train), sc.transform(X_test)\n", ""),
    ),
    _fault(
        "regression_notebook",
        "targets of shape [N] beside outputs of shape [N, 1]",
        "SET001",
        (
            "target_scaler.fit_transform(y_train.reshape(-1, 1))",
            "target_scaler.fit_transform(y_train.reshape(-1, 1))[:, 0]",
        ),
        ("target_scaler.transform(y_test.reshape(-1, 1))", "target_scaler.transform(y_test.reshape(-1, 1))[:, 0]"),
    ),
    _fault(
        "regression_notebook",
        "a sigmoid behind the last layer",
        "SET004",
        ("nn.Linear(8, 1))", "nn.Linear(8, 1), nn.Sigmoid())"),
    ),
    _fault(
        "regression_notebook",
        "a rate a thousand times too low",
        "OPT002 OPT017",
        ("lr=0.01", "lr=1e-5"),
    ),
    _fault(
        "regression_notebook",
        "targets not standardised",
        "DAT002",
        (
            "torch.FloatTensor(target_scaler.fit_transform(y_train.reshape(-1, 1)))",
            "torch.FloatTensor(y_train.reshape(-1, 1))",
        ),
        (
            "torch.FloatTensor(target_scaler.transform(y_test.reshape(-1, 1)))",
            "torch.FloatTensor(y_test.reshape(-1, 1))",
        ),
    ),
    _fault(
        "minibatch_permutation",
        "inputs not standardised",
        "DAT001",
        ("(data - data.mean(0)) / data.std(0)", "data"),
    ),
    _fault(
        "text_bag",
        "gradients clipped at a norm of 0.001",
        "SET020",
        ("clip_grad_norm_(model.parameters(), 5.0)", "clip_grad_norm_(model.parameters(), 1e-3)"),
    ),
    _fault(
        "transfer",
        "the optimizer made before the head was replaced",
        "SET007",
        (
            "model_ft.fc = nn.Linear(256, 10)\n",
            "optimizer_ft = torch.optim.SGD(model_ft.fc.parameters(), lr=0.1, momentum=0.9)\n"
            "model_ft.fc = nn.Linear(256, 10)\n",
        ),
        (
            "label_smoothing=0.05)\noptimizer_ft = torch.optim.SGD(model_ft.fc.parameters(), lr=0.1, momentum=0.9)\n",
            "label_smoothing=0.05)\n",
        ),
    ),
    _fault(
        "autoencoder",
        "the encoder frozen",
        "SET009",
        (
            "model = AutoEncoder()\n",
            "model = AutoEncoder()\nfor p in model.encoder.parameters():\n    p.requires_grad = False\n",
        ),
    ),
    _fault(
        "lbfgs",
        "no activation between the layers",
        "SET013",
        ("nn.Linear(1, 20), nn.Tanh(), nn.Linear(20, 1)", "nn.Linear(1, 20), nn.Linear(20, 1)"),
    ),
    _fault(
        "pairs",
        "the trunk detached from the loss",
        "SET008",
        (".abs()\n", ".abs().detach()\n"),
    ),
    _fault(
        "accumulation",
        "gradients cleared before the step",
        "SET015",
        (
            "            optimizer.step()\n            optimizer.zero_grad()\n",
            "            optimizer.zero_grad()\n            optimizer.step()\n",
        ),
    ),
    _fault("tiny_gpt", "a rate a hundred times too high", "OPT001", ("lr=3e-3", "lr=3e-1")),
    _fault("char_rnn", "gradients never cleared", "SET006", ("    optimizer.zero_grad()\n", "")),
    _fault("one_cycle", "a rate a thousand times too high", "OPT001", ("max_lr=1e-2", "max_lr=10.0")),
    _fault(
        "one_cycle",
        "all weights start at zero",
        "OPT011 OPT010",
        (
            "class Trainer:\n",
            "def init_weights(m):\n    if isinstance(m, nn.Linear):\n        nn.init.zeros_(m.weight)\n"
            "        nn.init.zeros_(m.bias)\n\n\nclass Trainer:\n",
        ),
        ("        self.model = model\n", "        self.model = model.apply(init_weights)\n"),
    ),
    _fault(
        "compiled",
        "softmax before CrossEntropyLoss",
        "SET002",
        ("nn.Linear(64, 10))", "nn.Linear(64, 10), nn.Softmax(dim=-1))"),
    ),
    _fault("workers", "a rate a thousand times too low", "OPT002 OPT017", ("lr=5e-3", "lr=5e-6")),
    _fault(
        "lstm_series",
        "targets of shape [N] beside outputs of shape [N, 1]",
        "SET001",
        (
            "        loss = criterion(model(x, state(len(x))), y)\n",
            "        loss = criterion(model(x, state(len(x))), y.squeeze())\n",
        ),
    ),
    _fault("contrastive", "a rate three thousand times too high", "OPT001", ("lr=1e-3", "lr=3.0")),
    _fault("contrastive", "gradients never cleared", "SET006", ("        optimizer.zero_grad()\n", "")),
    _fault("multitask", "gradients never cleared", "SET006", ("        optimizer.zero_grad()\n", "")),
    _fault(
        "mixed_precision",
        "AdamW's rate given to plain SGD",
        "OPT002 OPT017",
        ("torch.optim.AdamW(", "torch.optim.SGD("),
    ),
    _fault(
        "polynomial",
        "targets of shape [N] beside outputs of shape [N, 1]",
        "SET001",
        ("return x, x.mm(W_target) + b_target.item()", "return x, (x.mm(W_target) + b_target.item()).flatten()"),
    ),
    _fault(
        "lightning_classifier",
        "softmax before cross_entropy",
        "SET002",
        (
            "        loss = F.cross_entropy(self(x), y)\n",
            "        loss = F.cross_entropy(self(x).softmax(dim=1), y)\n",
        ),
    ),
    _fault("accelerate_digits", "a rate a hundred times too high", "OPT001", ("lr=5e-3", "lr=5e-1")),
    _fault("hf_trainer", "a rate a hundred times too high", "OPT001", ("learning_rate=2e-3", "learning_rate=2e-1")),
)
