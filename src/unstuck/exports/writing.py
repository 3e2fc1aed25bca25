"""One function a target; `export` chooses."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from unstuck.errors import LogError
from unstuck.exports.series import Recorded, recorded, rows

EXTRAS: Final = {
    "tensorboard": "tensorboard",
    "pyarrow": "parquet",
    "wandb": "wandb",
    "mlflow": "mlflow",
}
"""Module → the extra of this package that installs it."""

BATCH: Final = 1000
"""Metrics that MLflow takes at once."""


def export(record: str | Path, to: str, path: str | Path) -> Path:
    """Write the record of a run for another tool.

    Args:
        record: The record, a file that ends in ".unstuck".
        to: A key of `TARGETS`.
        path: Where to: a file for CSV and Parquet, a folder otherwise.

    Returns:
        What was written.

    Raises:
        LogError: If the target is not known, its package is not installed, or the path cannot be written.
    """
    if to not in TARGETS:
        raise LogError("`--to` must be a format that is known", repr(to), f"Use {', '.join(TARGETS)}.")
    run = recorded(Path(record))
    try:
        return TARGETS[to](run, Path(path))
    except OSError as error:
        got = f"{str(path)!r} ({error.strerror or error})"
        raise LogError("PATH must be a place that can be written", got, "Choose another.") from None


def _needed(module: str) -> ModuleType:
    import importlib

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ImportError:
        extra = EXTRAS[module.partition(".")[0]]
        got = f"no package {module.partition('.')[0]!r}"
        do = f"Install it: pip install 'unstuck[{extra}]'."
        raise LogError("This export must have the package that it writes with", got, do) from None


def to_csv(run: Recorded, path: Path) -> Path:
    """Write one row a step and one column a series; a cell is empty where nothing was logged."""
    steps, table, held = rows(run)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", *table])
        for place, step in enumerate(steps.tolist()):
            cells = [repr(float(table[name][place])) if held[name][place] else "" for name in table]
            writer.writerow([step, *cells])
    return path


def to_parquet(run: Recorded, path: Path) -> Path:
    """Write the same table with null where nothing was logged; the settings go into the schema's metadata."""
    arrow, parquet = _needed("pyarrow"), _needed("pyarrow.parquet")
    steps, table, held = rows(run)
    columns = {"step": arrow.array(steps)}
    for name, values in table.items():
        columns[name] = arrow.array(values, mask=~held[name])
    made = arrow.table(columns).replace_schema_metadata({f"unstuck.{key}": text for key, text in run.settings.items()})
    parquet.write_table(made, path)
    return path


def to_tensorboard(run: Recorded, path: Path) -> Path:
    """Write event files; values are kept as float32, as TensorBoard has them."""
    _needed("tensorboard")
    writers: Any = _needed("torch.utils.tensorboard")
    with writers.SummaryWriter(str(path)) as writer:
        if run.settings:
            writer.add_hparams(dict(run.settings), {}, run_name=".")
        for name, (steps, values) in run.series.items():
            for step, value in zip(steps.tolist(), values.tolist(), strict=True):
                writer.add_scalar(name, value, step)
    return path


def to_wandb(run: Recorded, path: Path) -> Path:
    """Write an offline run below a folder; `wandb sync` uploads it, and nothing here does."""
    wandb: Any = _needed("wandb")
    path.mkdir(parents=True, exist_ok=True)
    steps, table, held = rows(run)
    quiet = wandb.Settings(console="off", silent=True, x_disable_stats=True, x_disable_meta=True, disable_git=True)
    opened = wandb.init(
        project="unstuck", name=run.name, dir=str(path), mode="offline", config=dict(run.settings), settings=quiet
    )
    for place, step in enumerate(steps.tolist()):
        opened.log({name: float(table[name][place]) for name in table if held[name][place]}, step=step)
    opened.finish()
    return path


def to_mlflow(run: Recorded, path: Path) -> Path:
    """Write a run into the SQLite store `mlflow.db` in a folder."""
    _needed("mlflow")
    entities, tracking = _needed("mlflow.entities"), _needed("mlflow.tracking")
    path.mkdir(parents=True, exist_ok=True)
    address = f"sqlite:///{(path / 'mlflow.db').resolve()}"
    client: Any = tracking.MlflowClient(tracking_uri=address)
    named = client.get_experiment_by_name("unstuck")
    artifacts = (path / "artifacts").resolve().as_uri()
    experiment = named.experiment_id if named else client.create_experiment("unstuck", artifact_location=artifacts)
    opened = client.create_run(experiment, run_name=run.name)
    for key, text in run.settings.items():
        client.log_param(opened.info.run_id, key, text)
    metrics = [
        entities.Metric(name.replace("\\", "_"), value, 0, step)
        for name, (steps, values) in run.series.items()
        for step, value in zip(steps.tolist(), values.tolist(), strict=True)
    ]
    for start in range(0, len(metrics), BATCH):
        client.log_batch(opened.info.run_id, metrics=metrics[start : start + BATCH])
    client.set_terminated(opened.info.run_id)
    return path


TARGETS: Final[Mapping[str, Callable[[Recorded, Path], Path]]] = {
    "csv": to_csv,
    "parquet": to_parquet,
    "tensorboard": to_tensorboard,
    "wandb": to_wandb,
    "mlflow": to_mlflow,
}
"""Format → what writes it."""
