"""What users hold, each of which works: name → a function that makes the arguments of `Setup.of`, fresh."""

from __future__ import annotations

import random
from collections import namedtuple
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
)

Arguments = dict[str, Any]
ACCEPTED: dict[str, Callable[[], Arguments]] = {}


def accepted(make: Callable[[], Arguments]) -> Callable[[], Arguments]:
    ACCEPTED[make.__name__] = make
    return make


def columns(count: int = 36, width: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(count, width, generator=generator)
    return inputs, (inputs.sum(1) > 0).long()


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.2), nn.Linear(6, 2))


def usual(**changes: Any) -> Arguments:
    """A live network with a live optimizer on tensors, with changes; `optimizer` may be made of the model."""
    model = changes.pop("model", None)
    model = network() if model is None else model
    made: Arguments = {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": columns(),
        "epochs": 2,
        "batch_size": 8,
        **changes,
    }
    if "optimizer" not in made:
        made["optimizer"] = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return made


def with_state(optimizer: torch.optim.Optimizer, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer after three of the user's own steps."""
    inputs, targets = columns()
    for _ in range(3):

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            return loss

        optimizer.step(closure)
    return optimizer


# ---- optimizers


def _optimizer(name: str, **settings: Any) -> Callable[[], Arguments]:
    def make() -> Arguments:
        model = nn.Linear(4, 2, bias=False) if name == "Muon" else network()
        optimizer = getattr(torch.optim, name)(model.parameters(), **settings)
        return usual(model=model, optimizer=with_state(optimizer, model))

    return make


for _name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "RAdam", "Adafactor", "LBFGS", "Rprop", "Muon"):
    if hasattr(torch.optim, _name):
        ACCEPTED[f"live_{_name}_with_state"] = _optimizer(_name)
ACCEPTED["live_tensor_rate"] = _optimizer("Adam", lr=torch.tensor(0.01), capturable=False, foreach=False)


@accepted
def several_groups() -> Arguments:
    model = network()
    groups = [{"params": model[0].parameters(), "lr": 0.01}, {"params": model[4].parameters(), "weight_decay": 0.1}]
    return usual(model=model, optimizer=torch.optim.SGD(groups, lr=0.1))


@accepted
def optimizer_over_another_model() -> Arguments:
    return usual(optimizer=torch.optim.Adam(network().parameters()))


@accepted
def optimizer_over_a_subset() -> Arguments:
    model = network()
    return usual(model=model, optimizer=torch.optim.Adam(model[4].parameters()))


@accepted
def live_optimizer_with_a_scheduler_attached() -> Arguments:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = lr_scheduler.StepLR(optimizer, 1)
    with_state(optimizer, model)
    schedule.step()
    return usual(model=model, optimizer=optimizer)


@accepted
def optimizer_with_hooks() -> Arguments:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seen: list[int] = []
    optimizer.register_step_pre_hook(lambda *_: seen.append(1))
    return {**usual(model=model, optimizer=optimizer)}


@accepted
def factories() -> Arguments:
    return usual(model=network, optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.01))


@accepted
def a_class_for_each() -> Arguments:
    class Net(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Linear(4, 2))

    return usual(model=Net, optimizer=torch.optim.Adam)


@accepted
def factory_that_names_the_live_model() -> Arguments:
    model = network()
    return usual(model=model, optimizer=lambda _: torch.optim.SGD([{"params": model[0].parameters()}], lr=0.1))


# ---- data


@accepted
def numpy_arrays() -> Arguments:
    inputs, targets = columns()
    return usual(train=(inputs.double().numpy(), targets.numpy()))


@accepted
def lists() -> Arguments:
    inputs, targets = columns()
    return usual(train=(inputs.tolist(), targets.tolist()))


@accepted
def list_of_samples() -> Arguments:
    return usual(train=list(zip(*columns(), strict=True)))


@accepted
def loader_with_its_own_generator() -> Arguments:
    generator = torch.Generator().manual_seed(5)
    return usual(train=DataLoader(TensorDataset(*columns()), 8, shuffle=True, generator=generator, drop_last=True))


@accepted
def loader_with_workers() -> Arguments:
    return usual(train=DataLoader(TensorDataset(*columns()), 8, shuffle=True, num_workers=2))


@accepted
def weighted_sampler() -> Arguments:
    data = TensorDataset(*columns())
    return usual(train=DataLoader(data, 8, sampler=WeightedRandomSampler([1.0, 2.0] * 18, 24)))


@accepted
def subset() -> Arguments:
    return usual(train=DataLoader(Subset(TensorDataset(*columns()), range(5, 31)), 8, shuffle=True))


class Bucketed(Sampler[list[int]]):
    """A batch sampler with a state and a random source of its own."""

    def __init__(self, count: int) -> None:
        self.count, self.passes, self.random = count, 0, random.Random(1)

    def __iter__(self) -> Iterator[list[int]]:
        self.passes += 1
        order = list(range(self.count))
        self.random.shuffle(order)
        yield from (order[start : start + 6] for start in range(0, self.count, 6))

    def __len__(self) -> int:
        return self.count // 6


@accepted
def batch_sampler_of_ones_own() -> Arguments:
    return usual(train=DataLoader(TensorDataset(*columns()), batch_sampler=Bucketed(36)))


@accepted
def batch_sampler_of_torch() -> Arguments:
    data = TensorDataset(*columns())
    return usual(train=DataLoader(data, batch_sampler=BatchSampler(RandomSampler(data), 6, False)))


class Augmented(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Draws from every global generator, and counts in itself."""

    def __init__(self) -> None:
        self.columns, self.read, self.own = columns(), 0, np.random.default_rng(0)

    def __len__(self) -> int:
        return 36

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        self.read += 1
        noise = torch.randn(4) * random.random() + float(np.random.rand()) + float(self.own.random())
        return self.columns[0][index] + 0.1 * noise, self.columns[1][index]


@accepted
def random_augmentation() -> Arguments:
    return usual(train=DataLoader(Augmented(), 8, shuffle=True), validation=Augmented())


class Rare(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """A random transform that seldom does anything."""

    def __len__(self) -> int:
        return 36

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        inputs, targets = columns()
        return inputs[index] + 100.0 * (random.random() < 0.01), targets[index]


@accepted
def rare_augmentation() -> Arguments:
    return usual(train=Rare())


class Ragged(Dataset[tuple[torch.Tensor, int]]):
    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.full((1 + index % 3,), index % 7), index % 2


def padded(samples: list[tuple[torch.Tensor, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = nn.utils.rnn.pad_sequence([sample[0] for sample in samples], batch_first=True)
    return tokens, torch.tensor([sample[1] for sample in samples])


class Bag(nn.Module):
    def __init__(self, sparse: bool = False) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(7, 6, sparse=sparse), nn.Linear(6, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.embed(tokens).mean(1))


@accepted
def ragged_with_collate() -> Arguments:
    return usual(model=Bag(), train=DataLoader(Ragged(), 4, shuffle=True, collate_fn=padded))


@accepted
def ragged_one_at_a_time() -> Arguments:
    return usual(model=Bag(), train=DataLoader(Ragged(), 1, shuffle=True))


class Stream(IterableDataset[tuple[torch.Tensor, torch.Tensor]]):
    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        yield from zip(*columns(), strict=True)


@accepted
def iterable() -> Arguments:
    return usual(train=Stream(), validation=DataLoader(Stream(), 5))


@accepted
def loader_of_ready_batches() -> Arguments:
    ready = [tuple(part[start : start + 6] for part in columns()) for start in range(0, 36, 6)]
    return usual(train=DataLoader(ready, batch_size=None, shuffle=True))  # type: ignore[arg-type]


# ---- batches and calls


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(9, 6), nn.Linear(6, 2)

    def forward(self, input_ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = (self.embed(input_ids) * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return {"logits": self.head(hidden), "hidden": hidden}


@accepted
def dictionary_batches_and_outputs() -> Arguments:
    tokens = torch.arange(36 * 5).reshape(36, 5) % 9
    return usual(
        model=Named(),
        loss=lambda outputs, labels: nn.functional.cross_entropy(outputs["logits"], labels),
        train={"input_ids": tokens, "mask": torch.ones(36, 5), "labels": tokens[:, 0] % 2},
    )


Output = namedtuple("Output", ["loss", "logits"])


class Wrapped(nn.Module):
    """Takes the labels and gives its own loss, as the models of transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Named()

    def forward(self, input_ids: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor) -> Output:
        logits = self.body(input_ids, mask)["logits"]
        return Output(nn.functional.cross_entropy(logits, labels), logits)


@accepted
def model_with_its_own_loss() -> Arguments:
    tokens = torch.arange(36 * 5).reshape(36, 5) % 9
    return usual(
        model=Wrapped(),
        loss=lambda outputs, _: outputs.loss,
        forward=lambda model, batch: model(**batch),
        train={"input_ids": tokens, "mask": torch.ones(36, 5), "labels": tokens[:, 0] % 2},
    )


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.left(left), self.right(right)


@accepted
def several_inputs_and_outputs() -> Arguments:
    inputs, targets = columns()
    return usual(
        model=Two(),
        train=(inputs, inputs.flip(1), targets),
        loss=lambda outputs, labels: sum(nn.functional.cross_entropy(each, labels) for each in outputs),
    )


@accepted
def nested_inputs() -> Arguments:
    inputs, targets = columns()
    return usual(
        model=Two(), train=((inputs, inputs.flip(1)), targets), forward=lambda model, batch: model(*batch[0])[0]
    )


# ---- models


@accepted
def tokens() -> Arguments:
    return usual(model=Bag(), train=(torch.arange(36 * 3).reshape(36, 3) % 7, columns()[1]))


@accepted
def sparse_embedding() -> Arguments:
    model = nn.Sequential(nn.EmbeddingBag(7, 2, sparse=True))
    return usual(
        model=model,
        optimizer=torch.optim.SparseAdam(list(model.parameters())),
        train=(torch.arange(36 * 3).reshape(36, 3) % 7, columns()[1]),
    )


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.second.weight = self.first.weight

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = self.second(self.first(inputs).relu()).relu()
        return self.head(self.first(hidden))


@accepted
def tied_weights_and_shared_modules() -> Arguments:
    return usual(model=Tied())


@accepted
def parametrised_norms() -> Arguments:
    weight = nn.utils.parametrizations.weight_norm(nn.Linear(4, 6))
    spectral = nn.utils.parametrizations.spectral_norm(nn.Linear(6, 2))
    return usual(model=nn.Sequential(weight, nn.ReLU(), spectral))


@accepted
def old_spectral_norm_after_a_forward() -> Arguments:
    model = nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 6)), nn.ReLU(), nn.Linear(6, 2))
    model(columns()[0])
    return usual(model=model)


@accepted
def lazy_modules_that_have_run() -> Arguments:
    model = nn.Sequential(nn.LazyLinear(6), nn.ReLU(), nn.LazyLinear(2))
    model(columns()[0])
    return usual(model=model)


@accepted
def half_precision() -> Arguments:
    inputs, targets = columns()
    return usual(model=network().bfloat16(), train=(inputs.bfloat16(), targets))


@accepted
def double_precision() -> Arguments:
    inputs, targets = columns()
    return usual(model=network().double(), train=(inputs.double(), targets))


class Autocast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = network()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.body(inputs).float()


@accepted
def autocast_inside() -> Arguments:
    return usual(model=Autocast())


@accepted
def compiled() -> Arguments:
    model = network()
    return usual(model=torch.compile(model), optimizer=torch.optim.SGD(model.parameters(), lr=0.1))


@accepted
def compiled_in_place() -> Arguments:
    model = network()
    model.compile()
    return usual(model=model)


@accepted
def compiled_inside() -> Arguments:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = torch.compile(network())

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.body(inputs)

    return usual(model=Net())


@accepted
def data_parallel() -> Arguments:
    model = network()
    return usual(model=nn.DataParallel(model), optimizer=torch.optim.SGD(model.parameters(), lr=0.1))


@accepted
def frozen_layers() -> Arguments:
    model = network()
    model[0].requires_grad_(False)
    model[1].eval()
    return usual(model=model)


SEEN: list[Any] = []


@accepted
def hooks_on_modules_and_gradients() -> Arguments:
    model = network()
    kept: dict[str, Any] = {}
    model[0].register_forward_hook(lambda module, inputs, output: kept.update(output=output))
    model[2].register_forward_hook(lambda module, inputs, output: 2 * output)
    model[4].register_forward_pre_hook(lambda module, inputs: SEEN.append(inputs))
    model[4].weight.register_hook(lambda gradient: gradient.clamp(-0.01, 0.01))
    model[0].weight.register_hook(lambda gradient: SEEN.append(gradient))
    return usual(model=model)


class Keeping(nn.Module):
    """Keeps a tensor of its last graph."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.last = network(), None

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.last = self.body(inputs)
        return self.last


@accepted
def model_that_holds_a_graph() -> Arguments:
    model = Keeping()
    model(columns()[0])
    return usual(model=model)


@accepted
def eval_mode_before() -> Arguments:
    return usual(model=network().eval())


# ---- schedules


def _schedule(make: Callable[[torch.optim.Optimizer], Any], **changes: Any) -> Callable[[], Arguments]:
    return lambda: usual(scheduler=make, epochs=3, **changes)


ACCEPTED["schedule_per_epoch"] = _schedule(lambda optimizer: lr_scheduler.StepLR(optimizer, 1))
ACCEPTED["schedule_per_step"] = _schedule(lambda optimizer: lr_scheduler.LinearLR(optimizer), schedule_every="step")
ACCEPTED["schedule_plateau"] = _schedule(lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, patience=0))
ACCEPTED["schedule_one_cycle"] = _schedule(lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=15))
ACCEPTED["schedule_sequence"] = _schedule(
    lambda optimizer: lr_scheduler.SequentialLR(
        optimizer, [lr_scheduler.ConstantLR(optimizer, 0.1, 1), lr_scheduler.ExponentialLR(optimizer, 0.5)], [1]
    )
)
ACCEPTED["schedule_swa"] = _schedule(lambda optimizer: torch.optim.swa_utils.SWALR(optimizer, 0.05, anneal_epochs=2))


@accepted
def scheduler_that_names_the_live_optimizer() -> Arguments:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return usual(model=model, optimizer=optimizer, scheduler=lambda _: lr_scheduler.StepLR(optimizer, 1))


# ---- steps of one's own


def simple_step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> torch.Tensor:
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(batch[0]), batch[1])
    loss.backward()
    optimizer.step()
    return loss


@accepted
def step_without_a_loss() -> Arguments:
    return usual(loss=None, train_step=simple_step)


@accepted
def step_with_a_closure() -> Arguments:
    def step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> torch.Tensor:
        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(batch[0]), batch[1])
            loss.backward()
            return loss

        return optimizer.step(closure)

    model = network()
    return usual(model=model, optimizer=torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3), train_step=step)


scaler = torch.amp.GradScaler("cpu", init_scale=16.0, growth_interval=2)
history: list[float] = []
count = 0


def scaled_step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> float:
    """Uses a scaler, a list and a number of its module, as scripts do."""
    global count
    count += 1
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(batch[0]), batch[1])
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    history.append(loss.item())
    return loss.item()


@accepted
def step_with_a_scaler_and_globals() -> Arguments:
    return usual(train_step=scaled_step)


@accepted
def step_with_a_second_network() -> Arguments:
    critic = nn.Linear(2, 1)
    own = torch.optim.Adam(critic.parameters(), lr=0.01)

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> torch.Tensor:
        own.zero_grad()
        critic(model(batch[0]).detach()).square().mean().backward()
        own.step()
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(batch[0]), batch[1]) + 0.1 * critic(model(batch[0])).mean()
        loss.backward()
        optimizer.step()
        return loss

    return usual(loss=None, train_step=step)


@accepted
def loss_with_a_state() -> Arguments:
    class Moving(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.zeros(()))

        def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            loss = nn.functional.cross_entropy(outputs, targets)
            self.mean.mul_(0.9).add_(0.1 * loss.detach())
            return loss / (1.0 + self.mean)

    return usual(loss=Moving())


@accepted
def parameters_of_one_group_by_name() -> Arguments:
    model = network()
    return usual(model=model, optimizer=torch.optim.AdamW(model.named_parameters(), lr=0.01))
