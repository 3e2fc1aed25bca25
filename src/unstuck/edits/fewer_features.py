"""Fewer features: those that tell least of the target are held at their mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from unstuck.edits.inputs import input_scales
from unstuck.edits.passes import with_checked_edit
from unstuck.edits.standardisation import add_buffer
from unstuck.errors import RemedyError
from unstuck.setup import Edit, Setup
from unstuck.setup.batch import floating_inputs, map_tensors, split_batch, tensors
from unstuck.setup.data import gather

SAMPLES: Final = 1000
WIDEST: Final = 64
"""Features up to which mutual information is estimated for each; beyond, the F statistic."""

FEWEST: Final = 4


def with_fewer_features(setup: Setup, share: float) -> Setup:
    """Hold the features at their mean that tell least of the target on the training samples.

    A fixed layer inside the model does it, which goes on to take all features. What one tells is its mutual
    information with the target (A. Kraskov, H. Stögbauer, P. Grassberger, "Estimating mutual information", 2004;
    B. Ross, 2014, for classes); for many features the F statistic of one-way analysis of variance, or of a line.

    Args:
        setup: What is trained; inputs `[N, F]`.
        share: Of the features that is kept.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If inputs are no vectors of several features, or targets are not one a sample.
    """
    entry, scales = input_scales(setup)
    batch = gather(setup.train.head(SAMPLES))
    inputs, targets = floating_inputs(batch), split_batch(batch)[2]
    if len(scales) != 1 or len(inputs) != 1 or inputs[0].dim() != 2 or inputs[0].shape[1] < FEWEST:
        raise RemedyError("its inputs are no vectors of several features")
    if not isinstance(targets, Tensor) or targets.numel() != len(inputs[0]):
        raise RemedyError("there is not one target a sample, which features could tell of")
    features = inputs[0].shape[1]
    kept = max(1, round(share * features))
    told = _told(inputs[0], targets.flatten())
    dropped = told.argsort()[: features - kept]
    mask = torch.ones(features)
    mask[dropped] = 0.0
    place, mean = scales[0].place, inputs[0].double().mean(0).float()

    def apply(model: nn.Module) -> nn.Module:
        module = model.get_submodule(entry)
        names = add_buffer(module, "feature_kept", mask), add_buffer(module, "feature_mean", mean)
        module.register_forward_pre_hook(_Hold(place, *names), with_kwargs=True)
        return model

    edit = Edit("features", f"all {features}", f"the {kept} that tell most of the target", apply)
    return with_checked_edit(setup, edit, "features could not be left out")


@final
@dataclass(frozen=True)
class _Hold:
    place: int
    kept: str
    mean: str

    def __call__(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        count = iter(range(sum(1 for _ in tensors((args, kwargs)))))
        kept = module.get_buffer(self.kept).bool()

        def change(tensor: Tensor) -> Tensor:
            if next(count) != self.place:
                return tensor
            return torch.where(kept, tensor, module.get_buffer(self.mean).to(tensor))

        return map_tensors((args, kwargs), change)


def _told(inputs: Tensor, targets: Tensor) -> Tensor:
    """What each feature tells of the target, shape `[F]`."""
    import numpy as np
    from sklearn.feature_selection import f_classif, f_regression, mutual_info_classif, mutual_info_regression

    table, wanted = inputs.double().cpu().nan_to_num().numpy(), targets.cpu().numpy()
    classes = not targets.is_floating_point() or len(targets.unique()) == 2
    if inputs.shape[1] <= WIDEST:
        score = mutual_info_classif if classes else mutual_info_regression
        return torch.from_numpy(score(table, wanted, random_state=0))
    with np.errstate(all="ignore"):
        found = (f_classif if classes else f_regression)(table, wanted)[0]
    return torch.from_numpy(np.nan_to_num(found, nan=0.0, posinf=0.0))
