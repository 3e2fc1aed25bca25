"""A callback for the trainer of Hugging Face `transformers`: `Trainer(callbacks=[Watch()])`."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from unstuck.watching import Recording, watch


class Watch(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Watches the training of a `Trainer`. The loss is the one that the model gives back.

    Attributes:
        recording: The recording, None before the training begins.
    """

    def __init__(self, **options: Any) -> None:
        """Take what `unstuck.watch` takes beyond model and optimizer.

        Args:
            options: Such as `folder`, `name`, `share`, `ignore`.
        """
        self.options = options
        self.recording: Recording | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """Begin to watch."""
        optimizer = objects["optimizer"]
        optimizer = getattr(optimizer, "optimizer", optimizer)  # Accelerate wraps it
        options = {"step": state.global_step, "name": args.run_name or "run", **self.options}
        self.recording = watch(objects["model"], optimizer, **options)
        self.recording.start()

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **objects: Any) -> None:
        """Record what the evaluation has measured."""
        if self.recording is not None:
            numbers = {name: float(value) for name, value in (metrics or {}).items() if isinstance(value, (int, float))}
            loss = numbers.get("eval_loss")
            self.recording.log(**(numbers if loss is None else {**numbers, "validation_loss": loss}))

    def on_epoch_end(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """Note the end of an epoch."""
        if self.recording is not None:
            self.recording.epoch()

    def on_train_end(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """End the recording."""
        if self.recording is not None:
            self.recording.finish()
