"""What truly ails each program: every published cause repaired alone, and all but each, over five seeds.

`python -m bench.programs.establish [ID ...]` writes `established.json` beside this file: the programs named, or
else those that are new or whose causes have changed; `--all` does all of them.

The score does not depend on the loss: accuracy, or R² clipped to [-1, 1], on the rows held out. Of the gap
between the program as given and with all repaired, a cause is *sufficient* where its repair alone closes at
least 80 %, *necessary* where repairing all but it closes less than 50 %, each beyond doubt of the seeds (an
interval by resampling them, every resample counted), and else a *by-stander*. The truth is what is sufficient;
where nothing is, what is necessary; where nothing is either, the smallest sets that suffice together.

A program is *reproduced* where the gap is clear, and its repaired twin is *healthy* where it comes near the
best of a few learners of scikit-learn on the same rows.
"""

import itertools
import json
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from torch import Tensor

import unstuck
from bench.programs import ESTABLISHED, Program, Task, programs
from bench.programs.data import Pair
from unstuck.loop.batched import fit_together

SEEDS = range(5)
SUFFICIENT = 0.8
"""Of the gap, closed by one repair alone."""
NECESSARY = 0.5
"""Of the gap, left closed without one repair."""
CLEAR = 0.04
"""Smallest gap in the score that counts as the program's symptom."""
NEAR = 0.1
"""Of the span from the best constant to the best learner, that a healthy twin may miss."""

Loss = Callable[[Tensor, Tensor], Tensor]


def middle(loss: Loss, targets: Tensor) -> float:
    """Where a single output is undecided: at 0.5, or at 0 where the loss takes logits or the labels are -1 and 1."""
    one = torch.ones_like(targets[:1])
    nil = one * min(float(targets.min()), 0.0)
    output = 0.25 * one
    return 0.0 if loss(output, one) < loss(output, nil) else 0.5


def score(task: Task, outputs: Tensor, targets: Tensor, between: float = 0.5) -> float:
    """Accuracy, or R² within [-1, 1]; a regression with outputs that are not finite scores -1."""
    if task == "regression":
        found = outputs.reshape(len(targets), -1).double()
        wanted = targets.reshape(len(targets), -1).double().expand_as(found)
        missed = ((found - wanted) ** 2).sum(0)
        explained = float((1 - missed / ((wanted - wanted.mean(0)) ** 2).sum(0)).mean())
        return float(np.clip(explained, -1, 1)) if np.isfinite(explained) else -1.0
    if task == "binary":
        return float(((outputs > between) == (targets.reshape(outputs.shape) > 0.5)).double().mean())
    column = targets.ndim == outputs.ndim and targets.shape[-1] == 1
    labels = targets.flatten() if column else targets.argmax(-1) if targets.ndim == outputs.ndim else targets
    return float((outputs.nan_to_num().argmax(-1) == labels).double().mean())


def scores(program: Program, repaired: frozenset[str]) -> list[tuple[float, float]]:
    """On the training rows and on those held out, for every seed, after training with these repairs."""
    setup = program.build(repaired)
    assert setup.loss is not None
    train, heldout = program.splits(repaired)
    between = middle(setup.loss, train[1]) if program.task == "binary" else 0.0
    together = fit_together([(setup, seed) for seed in SEEDS], validate=False)
    found = []
    for run in together or [unstuck.fit(setup, seed=seed, validate=False) for seed in SEEDS]:
        run.model.eval()
        with torch.no_grad():
            on_train, on_heldout = (score(program.task, run.model(x), y, between) for x, y in (train, heldout))
        found.append((on_train, on_heldout))
    return found


def best_learner(program: Program) -> float:
    """The best held-out score of a few learners of scikit-learn on the repaired rows."""
    train, heldout = program.splits(frozenset(program.causes))
    (x, y), (z, w) = (plain(pair, program.task) for pair in (train, heldout))
    regressors = [Ridge(), RandomForestRegressor(random_state=0), SVR(C=10)]
    classifiers = [LogisticRegression(max_iter=500), RandomForestClassifier(random_state=0), SVC(C=10)]
    found = []
    for learner in regressors if program.task == "regression" else classifiers:
        fitted = [make_pipeline(StandardScaler(), clone(learner)).fit(x, column) for column in y.T]
        answers = torch.as_tensor(np.column_stack([one.predict(z) for one in fitted]), dtype=torch.float64)
        if program.task == "regression":
            found.append(score("regression", answers, torch.as_tensor(w)))
        else:
            found.append(float((answers == torch.as_tensor(w)).double().mean()))
    return max(found)


def plain(pair: Pair, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Inputs as a table, targets as columns: class numbers, or values."""
    inputs, targets = pair
    if task == "classes" and targets.ndim > 1:
        targets = targets.argmax(-1)
    table: np.ndarray = inputs.reshape(len(inputs), -1).numpy()
    columns: np.ndarray = targets.reshape(len(inputs), -1).numpy()
    return table, columns[:, :64]


def best_constant(program: Program) -> float:
    if program.task == "regression":
        return 0.0
    _, columns = plain(program.splits(frozenset(program.causes)).heldout, program.task)
    return float(np.mean([np.unique(column, return_counts=True)[1].max() / len(column) for column in columns.T]))


def share_closed(given: Sequence[float], variant: Sequence[float], full: Sequence[float]) -> dict[str, Any]:
    """Of the gap from given to full, and its 95 % interval over all resamples of the paired seeds."""
    gap, closed = np.subtract(full, given), np.subtract(variant, given)
    draws = np.array(list(itertools.product(range(len(gap)), repeat=len(gap))))
    gaps = gap[draws].mean(1)
    shares = closed[draws].mean(1) / np.where(gaps > 1e-9, gaps, np.nan)
    low, high = np.nanpercentile(shares, [2.5, 97.5])
    return {"share": round(float(closed.mean() / gap.mean()), 3), "interval": [round(low, 3), round(high, 3)]}


def verdict(alone: dict[str, Any], without: dict[str, Any]) -> str:
    """One word for a cause, by what its repair closes alone and what all others close without it."""
    if suffices(alone):
        return "sufficient"
    if without["share"] < NECESSARY and without["interval"][1] < SUFFICIENT:
        return "necessary"
    return "by-stander"


def establish(program: Program) -> dict[str, Any]:
    """Everything about one program that the benchmark scores against."""
    everything = frozenset(program.causes)
    sets = {frozenset[str](), everything}
    sets |= {frozenset({c}) for c in program.causes} | {everything - {c} for c in program.causes}
    began = time.perf_counter()
    runs = {repaired: scores(program, repaired) for repaired in sorted(sets, key=lambda s: (len(s), sorted(s)))}
    heldout = {repaired: [pair[1] for pair in found] for repaired, found in runs.items()}
    given, full = heldout[frozenset()], heldout[everything]
    gap = np.subtract(full, given)
    constant, reference = best_constant(program), best_learner(program)
    causes = {}
    for cause in program.causes:
        alone = share_closed(given, heldout[frozenset({cause})], full)
        without = share_closed(given, heldout[everything - {cause}], full)
        causes[cause] = {"verdict": verdict(alone, without), "alone": alone, "without": without}
    sufficient = [c for c in program.causes if causes[c]["verdict"] == "sufficient"]
    necessary = [c for c in program.causes if causes[c]["verdict"] == "necessary"]
    joint = [] if sufficient or necessary else smallest_cures(program, given, full)
    enough = reference - NEAR * abs(reference - constant)
    return {
        "truth": sufficient or necessary or [c for c in program.causes if any(c in cure for cure in joint)],
        "joint_cures": joint,
        "causes": causes,
        "task": program.task,
        "train": {"given": means(runs[frozenset()], 0), "repaired": means(runs[everything], 0)},
        "heldout": {"given": means(runs[frozenset()], 1), "repaired": means(runs[everything], 1)},
        "constant": round(constant, 3),
        "reference": round(reference, 3),
        "reproduced": bool(gap.mean() >= CLEAR and gap.min() > 0),
        "healthy": bool(np.mean(full) >= enough and min(full) >= enough - NEAR * abs(reference - constant)),
        "seconds_in_all": round(time.perf_counter() - began, 1),
    }


def smallest_cures(program: Program, given: Sequence[float], full: Sequence[float]) -> list[list[str]]:
    """The smallest sets of causes whose joint repair suffices, where no cause does alone and none is necessary."""
    for size in range(2, len(program.causes)):
        cures = []
        for codes in itertools.combinations(program.causes, size):
            joint = [pair[1] for pair in scores(program, frozenset(codes))]
            if suffices(share_closed(given, joint, full)):
                cures.append(list(codes))
        if cures:
            return cures
    return [list(program.causes)]


def suffices(closed: dict[str, Any]) -> bool:
    return bool(closed["share"] >= SUFFICIENT and closed["interval"][0] >= NECESSARY)


def means(found: Sequence[tuple[float, float]], split: int) -> dict[str, Any]:
    seeds = [round(pair[split], 3) for pair in found]
    return {"mean": round(float(np.mean(seeds)), 3), "seeds": seeds}


def line(name: str, found: dict[str, Any]) -> str:
    ill, well = found["heldout"]["given"]["mean"], found["heldout"]["repaired"]["mean"]
    words = " ".join(
        f"{code}:{c['verdict'][:4]}({c['alone']['share']:.2f}/{c['without']['share']:.2f})"
        for code, c in found["causes"].items()
    )
    flags = ("" if found["reproduced"] else " NOT-REPRODUCED") + ("" if found["healthy"] else " TWIN-NOT-HEALTHY")
    yardsticks = f"(constant {found['constant']:.2f}, learner {found['reference']:.2f})"
    return f"{name:17s} {'+'.join(found['truth']):24s} {ill:6.3f} → {well:6.3f} {yardsticks} {words}{flags}"


def chosen(everything: Sequence[Program], names: Sequence[str], known: dict[str, Any]) -> list[Program]:
    """Which to establish: those named, in that order, or else those that are new or have other causes than before."""
    if "--all" in names:
        return list(everything)
    if names:
        return [program for name in names for program in everything if program.id == name]
    return [p for p in everything if p.id not in known or set(known[p.id]["causes"]) != set(p.causes)]


def main(names: Sequence[str]) -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    known: dict[str, Any] = json.loads(ESTABLISHED.read_text()) if ESTABLISHED.exists() else {}
    everything = programs()
    for program in chosen(everything, names, known):
        known[program.id] = establish(program)
        print(line(program.id, known[program.id]), flush=True)
        kept = {p.id: known[p.id] for p in everything if p.id in known}
        ESTABLISHED.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
