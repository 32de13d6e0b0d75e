"""Gates hold or fail, and what can't be measured fails."""

import math

import pytest

from aural.errors import InputError, UnknownName
from aural.evaluate.gate import check_gates, parse_gate
from aural.evaluate.report import GATE_MEASURES


@pytest.mark.parametrize(
    ("text", "value", "passed"),
    [
        ("wer<0.1", 0.0999, True),
        ("wer<0.1", 0.1, False),
        ("wer<=0.1", 0.1, True),
        (" wer <= 10% ", 0.1, True),
        ("wer.high<12.5%", 0.13, False),
        ("failed<1", 0, True),
        ("failed<1", 1, False),
        ("wer.gap>=-0.5", 0.0, True),
        ("cer>0.5", 0.4, False),
        ("wer<0.1", None, False),
        ("wer>0.1", None, False),
        ("wer<0.1", math.nan, False),
        ("wer<0.1", math.inf, False),
    ],
)
def test_gates(text: str, value: float | None, passed: bool) -> None:
    gate = parse_gate(text, GATE_MEASURES)
    (result,) = check_gates([gate], {gate.measure: value})
    assert result.passed == passed
    assert ("passed" if passed else "FAILED") in str(result)


@pytest.mark.parametrize(
    "text",
    ["wer", "wer<", "<0.1", "wer<0.1 and cer<1", "wer==0.1", "wer<1e-3", "wer<__import__('os')",
     "wer<0.1%%", "wer<٣", "", "wer<nan", "wer<0.1\nx"],
)  # fmt: skip
def test_what_is_no_gate_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a gate"):
        parse_gate(text, GATE_MEASURES)


def test_an_unknown_measure_lists_them() -> None:
    with pytest.raises(UnknownName, match=r"wer\.max_slice"):
        parse_gate("accuracy>0.9", GATE_MEASURES)
