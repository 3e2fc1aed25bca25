"""A callback for Lightning (`lightning` or `pytorch_lightning`): `Trainer(callbacks=[Watch()])`."""

from __future__ import annotations

from typing import Any

import torch

try:
    from lightning.pytorch.callbacks import Callback
except ImportError:  # the older name of the same package
    from pytorch_lightning.callbacks import Callback  # type: ignore[assignment, unused-ignore]

from unstuck.watching import Recording, watch


class Watch(Callback):
    """Watches the training of a LightningModule.

    Attributes:
        recording: The recording, None before the training begins.
    """

    def __init__(self, **options: Any) -> None:
        """Take what `unstuck.watch` takes beyond model and optimizer.

        Args:
            options: Such as `folder`, `name`, `share`, `ignore`.
        """
        super().__init__()
        self.options = options
        self.recording: Recording | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin to watch; with several optimizers, the steps of the first count."""
        optimizer = trainer.optimizers[0]
        options = {"step": trainer.global_step, **self.options}
        self.recording = watch(trainer.strategy.model or pl_module, optimizer, **options)
        self.recording.start()

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: torch.Tensor) -> None:
        """Hand over the loss, before it is divided by the number of accumulated batches."""
        if self.recording is not None:
            self.recording.log(loss=loss.detach() * trainer.accumulate_grad_batches)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Record what the validation has measured."""
        if self.recording is not None and not trainer.sanity_checking:
            self.recording.log(**_numbers(trainer.callback_metrics))

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Note the end of an epoch."""
        if self.recording is not None:
            self.recording.epoch(**_numbers(trainer.callback_metrics))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """End the recording."""
        if self.recording is not None:
            self.recording.finish()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """End the recording, with the reason."""
        if self.recording is not None:
            self.recording.finish("crashed", f"{type(exception).__name__}: {exception}")


_VALIDATION = ("val_loss", "valid_loss", "validation_loss", "val/loss", "valid/loss")


def _numbers(metrics: Any) -> dict[str, float]:
    found = {str(name): float(value) for name, value in metrics.items() if getattr(value, "numel", lambda: 1)() == 1}
    loss = next((found[name] for name in _VALIDATION if name in found), None)
    return found if loss is None else {**found, "validation_loss": loss}
