"""A callback for skorch: `NeuralNetClassifier(…, callbacks=[Watch()])`."""

from __future__ import annotations

from typing import Any

from skorch.callbacks import Callback

from unstuck.watching import Recording, watch


class Watch(Callback):  # type: ignore[misc, unused-ignore]
    """Watches the training of a skorch net.

    Attributes:
        recording: The recording of the last `fit`, None before.
    """

    def __init__(self, **options: Any) -> None:
        """Take what `unstuck.watch` takes beyond model and optimizer.

        Args:
            options: Such as `folder`, `name`, `share`, `ignore`.
        """
        self.options = options
        self.recording: Recording | None = None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The options, for scikit-learn."""
        return dict(self.options)

    def set_params(self, **options: Any) -> Watch:
        """Change options, for scikit-learn."""
        self.options.update(options)
        return self

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **more: Any) -> None:  # noqa: N803
        """Begin to watch."""
        self.recording = watch(net.module_, net.optimizer_, loss=net.criterion_, **self.options)
        self.recording.start()

    def on_epoch_end(self, net: Any, dataset_train: Any = None, dataset_valid: Any = None, **more: Any) -> None:
        """Note the end of an epoch with what skorch has measured."""
        if self.recording is not None:
            row = net.history[-1]
            names = {"train_loss": "training_loss", "valid_loss": "validation_loss", "valid_acc": "valid_acc"}
            self.recording.epoch(**{new: float(row[old]) for old, new in names.items() if old in row})

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **more: Any) -> None:  # noqa: N803
        """End the recording."""
        if self.recording is not None:
            self.recording.finish()
