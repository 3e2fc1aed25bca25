"""Which faults the benchmark injects where."""

from __future__ import annotations

from collections import Counter

from bench.injected import MORE_BASES, MOST_BASES, chosen, established, key, pairs
from bench.yardstick import HARMFUL
from unstuck.rules import load

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
