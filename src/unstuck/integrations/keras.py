"""A callback for Keras 3 on the torch backend: `model.fit(…, callbacks=[Watch()])`.

Keras has optimizers of its own, without torch's hooks: its `apply_gradients` is wrapped while the callback is active.
"""

from __future__ import annotations

from typing import Any

import keras

from unstuck.errors import SetupError
from unstuck.integrations.foreign import SteppedElsewhere
from unstuck.watching import Recording, watch


class Watch(keras.callbacks.Callback):  # type: ignore[misc, unused-ignore]
    """Watches `Model.fit`.

    Attributes:
        recording: The recording, None before the training begins.
    """

    def __init__(self, **options: Any) -> None:
        """Take what `unstuck.watch` takes beyond model and optimizer.

        Args:
            options: Such as `folder`, `name`, `share`, `ignore`.

        Raises:
            SetupError: If Keras does not run on torch.
        """
        super().__init__()
        if keras.backend.backend() != "torch":
            raise SetupError("Keras must run on torch", keras.backend.backend(), "Set KERAS_BACKEND=torch.")
        self.options = options
        self.recording: Recording | None = None
        self._optimizer: SteppedElsewhere | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin to watch."""
        optimizer = self.model.optimizer
        parameters = [variable.value for variable in self.model.trainable_variables]
        self._optimizer = SteppedElsewhere(optimizer, "apply", parameters, lambda: float(optimizer.learning_rate))
        self.recording = watch(self.model, self._optimizer, **self.options)
        self.recording.start()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Nothing: the loss that Keras shows is a mean over the epoch so far; `Recording` takes that of the batch."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note the end of an epoch with what Keras has measured."""
        if self.recording is not None:
            numbers = {name: float(value) for name, value in (logs or {}).items()}
            if "val_loss" in numbers:
                numbers["validation_loss"] = numbers["val_loss"]
            if "loss" in numbers:
                numbers["training_loss"] = numbers.pop("loss")
            self.recording.epoch(**numbers)

    def on_train_end(self, logs: Any = None) -> None:
        """End the recording."""
        if self.recording is not None and self._optimizer is not None:
            self.recording.finish()
            self._optimizer.release()
