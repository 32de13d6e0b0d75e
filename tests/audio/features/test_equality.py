"""Every case of the table of equality keeps its tolerance."""

import pytest
from equality import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.reference}")
def test_as_near_as_the_table_says(case: Case) -> None:
    assert case.difference() <= case.tolerance


def test_a_difference_is_seen() -> None:
    near = CASES[0]
    ours, theirs = near.run()
    wrong = Case("shifted", "", lambda: (ours[:, 1:], theirs[:, :-1]), 1.0, near.unit)
    assert wrong.difference() > 1000 * near.tolerance


def test_the_benchmarks_table_has_a_row_a_case(benchmark) -> None:
    made = benchmark("feature_equality")
    rows = made.measure(CASES[:2])
    assert [row["name"] for row in rows] == [case.name for case in CASES[:2]]
    assert made.page({"rows": rows}).count("\n| STFT, ") == 2
