"""What several programs are built of: starts and losses as other libraries define them, and small layers."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.optim import Optimizer


def started(net: nn.Module, start: Callable[[Tensor], Tensor], *, biases: bool = False) -> nn.Module:
    """The net with its weights (and biases, else 0) drawn by `start`."""
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            start(module.weight)
            if module.bias is not None:
                (start if biases else nn.init.zeros_)(module.bias)
    return net


def dense(
    *widths: int, between: Callable[[], nn.Module] = nn.ReLU, dropout: float = 0.0, last: nn.Module | None = None
) -> nn.Sequential:
    """Linear layers of these widths, an activation (and dropout) behind each but the last, and `last` behind that."""
    layers: list[nn.Module] = []
    for i in range(len(widths) - 2):
        layers += [nn.Linear(widths[i], widths[i + 1]), between()]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]), *([] if last is None else [last]))


def keras_uniform(weight: Tensor) -> Tensor:
    """The start that old Keras calls `uniform`."""
    return nn.init.uniform_(weight, -0.05, 0.05)


def unit_normal(weight: Tensor) -> Tensor:
    """The start of TensorFlow's old tutorials."""
    return nn.init.normal_(weight, 0.0, 1.0)


def keras_normal(weight: Tensor) -> Tensor:
    """The start that old Keras calls `normal`."""
    return nn.init.normal_(weight, 0.0, 0.05)


def clipped_binary_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """As Keras has it: outputs are clipped into (0, 1), targets may be anything."""
    chance = outputs.clamp(1e-7, 1 - 1e-7)
    return -(targets * chance.log() + (1 - targets) * (1 - chance).log()).mean()


def normalised_cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """As Keras has it: outputs are divided by their sum, clipped, and the label's log is taken."""
    chance = (outputs / outputs.sum(1, keepdim=True)).clamp(1e-7, 1 - 1e-7)
    return -chance.gather(1, labels.unsqueeze(1)).log().mean()


def categorical_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """As Keras has it for one-hot targets, or for whatever is given in their place."""
    chance = (outputs / outputs.sum(1, keepdim=True)).clamp(1e-7, 1 - 1e-7)
    return -(targets * chance.log()).sum(1).mean()


def clipped(optimizer: Optimizer, norm: float) -> Optimizer:
    """The optimizer, with the gradient's norm cut to this before each step."""

    def clip(stepped: Optimizer, *_: object) -> None:
        nn.utils.clip_grad_norm_([p for group in stepped.param_groups for p in group["params"]], norm)

    optimizer.register_step_pre_hook(clip)
    return optimizer


class LastStep(nn.Module):
    """The outputs of a recurrent layer at the last step."""

    def __init__(self, recurrent: nn.RNNBase) -> None:
        super().__init__()
        self.recurrent = recurrent

    def forward(self, sequences: Tensor) -> Tensor:
        outputs: Tensor = self.recurrent(sequences)[0]
        return outputs[:, -1]
