"""Which faults the benchmark injects where."""

from __future__ import annotations

from collections import Counter

import torch

from bench.bases import GENERALISATION
from bench.injected import MORE_BASES, MOST_BASES, chosen, established, healthy_twin, key, pairs, sick
from bench.yardstick import HARMFUL
from unstuck.rules import load
from unstuck.setup import Data

RULES = {rule.code: rule for rule in load()}


def harmful(codes: tuple[str, ...], base: str) -> bool:
    harm = established()[key(codes, base)]
    return not isinstance(harm, str) and (harm >= HARMFUL or all(RULES[code].evidence_suffices for code in codes))


def test_each_fault_is_examined_on_a_few_bases_that_it_harms() -> None:
    single = [(codes, base) for codes, base in chosen() if len(codes) == 1]
    assert all(harmful(codes, base) for codes, base in single)
    for (code,), count in Counter(codes for codes, _ in single).items():
        assert count <= (MORE_BASES if code[:3] in ("GEN", "MIS") else MOST_BASES)
    assert len(single) >= 200


def test_pairs_join_faults_that_each_do_harm_alone() -> None:
    found = [(codes, base) for codes, base in chosen() if len(codes) == 2]
    assert found and len({codes for codes, _ in found}) == len(found)
    assert all(harmful((code,), base) for codes, base in found for code in codes)
    assert set(found) <= set(pairs())


def test_the_twin_of_other_class_shares_is_trained_alike_and_tested_in_the_shares_of_training() -> None:
    base = next(base.setup for base in GENERALISATION if base.name == "gaussian-quantiles")
    ill, twin = sick(("MIS002",), base), healthy_twin(("MIS002",), base)

    def share_of_last(data: Data) -> float:
        targets = torch.cat([ill.targets(batch) for batch in data.head(1000)])
        return float((targets == 2).double().mean())

    assert ill.test is not None and twin.test is not None
    assert twin.train.size == ill.train.size
    assert abs(share_of_last(twin.test) - share_of_last(twin.train)) < 0.1
    assert share_of_last(ill.test) > share_of_last(ill.train) + 0.4


def test_the_twin_of_a_target_leak_has_nothing_where_the_leak_was_and_all_else() -> None:
    base = next(base.setup for base in GENERALISATION if base.name == "circles")
    given, ill, twin = base(), sick(("MIS007",), base), healthy_twin(("MIS007",), base)

    def table(data: Data) -> torch.Tensor:
        return torch.cat([batch[0] for batch in data.head(10_000)])

    assert given.test is not None and ill.test is not None and twin.test is not None
    leaking = (table(ill.train) != table(given.train)).any(0)
    assert leaking.sum() == 1
    for emptied, whole in ((twin.train, given.train), (twin.test, given.test)):
        assert torch.equal(table(emptied)[:, ~leaking], table(whole)[:, ~leaking])
        assert table(emptied)[:, leaking].std() == 0.0


def test_the_twin_of_other_meanings_learns_from_what_still_holds_and_half_of_the_test_samples() -> None:
    base = next(base.setup for base in GENERALISATION if base.name == "two-normals")
    given, ill, twin = base(), sick(("MIS003",), base), healthy_twin(("MIS003",), base)

    def rows(data: Data) -> set[tuple[float, ...]]:
        return {
            (*values.tolist(), float(label))
            for batch in data.head(10_000)
            for values, label in zip(*batch, strict=True)
        }

    assert ill.test is not None and twin.test is not None
    learnt, scored, relabelled = rows(twin.train), rows(twin.test), rows(ill.test)
    assert scored < relabelled and not scored & learnt
    assert relabelled - scored <= learnt
    assert 0.3 < len(rows(given.train) & learnt) / len(rows(given.train)) < 0.7
