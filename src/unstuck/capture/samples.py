"""The data of a set-up from the batches that a script was seen to train on."""

from __future__ import annotations

from collections.abc import Sequence

from torch.utils.data import DataLoader

from unstuck.capture.program import Leaf, Reference
from unstuck.capture.reading import Step
from unstuck.capture.recorded_functions import Prepare
from unstuck.capture.recovered import Unclear
from unstuck.capture.sightings import Feed, Origin, Sampled, Slice
from unstuck.setup.batch import Batch, are_equal, concatenate, tensors
from unstuck.setup.data import Data, StackedData
from unstuck.setup.loader import data_of
from unstuck.setup.randomness import isolated


def training_data(step: Step, steps: Sequence[Sampled], pattern: Slice, notes: list[str]) -> tuple[Data, Feed | None]:
    """The samples that a script trains on.

    Args:
        step: What it computes of a batch.
        steps: Those that were looked at closely.
        pattern: The slice that `step` was read from.
        notes: What a reader should know is added.

    Returns:
        The data, and the loader that they come from, or None.

    Raises:
        Unclear: If the batches cannot be told.
    """
    feeds = list({id(origin.feed): origin.feed for origin in step.origins.values() if origin.feed}.values())
    if len(feeds) > 1:
        raise Unclear(
            "the batches come from several loaders at once; `unstuck.hint(train=...)` with one that yields all"
        )
    if feeds:
        return prepared("train", feeds[0], step), feeds[0]
    rows = list(step.origins.values())
    sources = [origin.tensor if origin.source is None else origin.source for origin in rows]
    fits = all(origin.tensor.dim() > 0 and origin.tensor.shape[0] == step.samples for origin in rows)
    fits &= is_by_sample(step) and _stay(rows, steps)
    fits &= len({id(source) for source in sources}) == len(sources)  # else windows of one series, stacked
    if rows and fits and len({len(source) for source in sources}) == 1 and step.prepare is not None:
        samples = tuple(source.detach().clone() for source in sources)
        shuffled = any(origin.source is not None and not origin.in_order for origin in rows)
        data: Data = StackedData(samples, min(step.samples, len(sources[0])), shuffled)
        paths = {key: (place,) for place, key in enumerate(step.origins)}
        return data.mapped(Prepare(step.prepare.program, paths)), None
    return _streamed(step, steps, pattern, notes), None


def is_by_sample(step: Step) -> bool:
    """Whether a batch can be prepared sample by sample, so that it may be done once for the whole split."""
    if step.prepare is None or not step.prepare.program.operations:
        return True
    if any(each.is_random for each in step.prepare.program.operations.values()):
        return False
    return all(each.dim() > 0 and each.shape[0] == step.samples for each in step.seen.values())


def _stay(origins: Sequence[Origin], steps: Sequence[Sampled]) -> bool:
    """Whether every step takes its data from the same tensors."""
    held = {id(origin.tensor if origin.source is None else origin.source) for origin in origins}
    for sampled in steps[1:]:
        for each in (one.slice for one in sampled.backwards if one.slice is not None):
            there = each.origins.values()
            if not held <= {id(origin.tensor if origin.source is None else origin.source) for origin in there}:
                return False
    return True


def prepared(name: str, feed: Feed, step: Step) -> Data:
    """The samples of a loader, prepared as a step takes them.

    Args:
        name: Of the split.
        feed: The loader.
        step: What it computes of a batch.

    Returns:
        The data.
    """
    data = data_of(name, feed.loader, None)
    assert step.prepare is not None
    if step.loss is None or not _is_as_given(step, data):
        return data.mapped(step.prepare)
    return data


def _streamed(step: Step, steps: Sequence[Sampled], pattern: Slice, notes: list[str]) -> Data:
    """The batches of the first steps, where they come from nowhere that could be asked again."""
    batches = []
    for each in (each for sampled in steps for each in sampled.backwards):
        if each.slice is None or len(each.slice.entries) != len(pattern.entries):
            continue
        found = dict(zip(pattern.entries, each.slice.entries.values(), strict=True))
        if all(part in found for part in (*step.inputs, *step.targets)):
            inputs = tuple(found[part].detach() for part in step.inputs)
            targets = tuple(found[part].detach() for part in step.targets)
            batches.append((*inputs, targets[0] if len(targets) == 1 else targets))
    if batches and all(are_equal(batch, batches[0]) for batch in batches[1:]):
        notes.append("every step that was looked at took the same samples: they are the training data")
        batches = batches[:1]
        if len({tensor.shape[:1] for tensor in tensors(batches[0])}) > 1:  # such as a graph and the nodes with labels
            return data_of("train", DataLoader(batches, batch_size=None, collate_fn=_as_it_is), None)  # type: ignore[arg-type]
        return StackedData(batches[0], step.samples, False)
    try:
        samples = concatenate(batches)
    except (ValueError, IndexError):
        raise Unclear(
            "the batches could not be told from what the script computes; `unstuck.hint(train=(inputs, targets))` "
            "before the loop tells them"
        ) from None
    notes.append(
        f"the batches come from no loader, so those of the first {len(batches)} steps stand for the training data; "
        "`unstuck.hint(train=(inputs, targets))` gives them all"
    )
    return StackedData(samples, step.samples, True)


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _is_as_given(step: Step, data: Data) -> bool:
    """Whether the loader yields `(inputs …, targets)` as the step takes them."""
    assert step.prepare is not None
    wanted: list[Reference] = [*step.inputs, *step.targets]
    if len(step.targets) != 1 or step.prepare.program.operations:
        return False
    places = [step.origins[each.key].path if isinstance(each, Leaf) else None for each in wanted]
    if places != [(place,) for place in range(len(wanted))]:
        return False
    with isolated(0):
        batch = data.head(1)[0]
    return isinstance(batch, (tuple, list)) and len(batch) == len(wanted)
