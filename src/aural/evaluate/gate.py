"""Gates: conditions on a result, such as "wer<0.1" or "wer.max_slice<25%"."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aural.errors import InputError, UnknownName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_GATE = re.compile(
    r"(?P<measure>[a-z_.]{1,40})\s*(?P<operator><=|>=|<|>)\s*"
    r"(?P<limit>-?[0-9]{1,12}(\.[0-9]{1,12})?)(?P<percent>%?)",
    re.ASCII,
)


@dataclass(frozen=True)
class Gate:
    """A condition: measure operator limit."""

    measure: str
    operator: str
    limit: float

    def holds(self, value: float | None) -> bool:
        """Whether the value meets the condition; a value that can't be had never does."""
        if value is None or math.isnan(value):
            return False
        return bool(_OPERATORS[self.operator](value, self.limit))

    def __str__(self) -> str:
        return f"{self.measure}{self.operator}{self.limit:g}"


@dataclass(frozen=True)
class GateResult:
    """A gate, the value it was held against (None: could not be measured) and the outcome."""

    gate: Gate
    value: float | None
    passed: bool

    def __str__(self) -> str:
        value = "not measurable" if self.value is None else f"{self.value:.4g}"
        return f"gate {self.gate}: {value}: {'passed' if self.passed else 'FAILED'}"


def parse_gate(text: str, measures: Sequence[str]) -> Gate:
    """The gate that a text states.

    Args:
        text: A measure, one of < <= > >=, and a number, which may end in %.
        measures: The names that can be gated.

    Raises:
        InputError: it is no such text.
        UnknownName: there is no such measure.
    """
    found = _GATE.fullmatch(text.strip())
    if found is None:
        raise InputError(f"{text[:80]!r} is not a gate; write one as wer<0.1 or wer.high<=12.5%")
    if found["measure"] not in measures:
        raise UnknownName("measure to gate", found["measure"], tuple(measures))
    limit = float(found["limit"]) / (100 if found["percent"] else 1)
    return Gate(found["measure"], found["operator"], limit)


def check_gates(
    gates: Sequence[Gate], values: Mapping[str, float | None]
) -> tuple[GateResult, ...]:
    """Every gate held against its measure."""
    return tuple(
        GateResult(gate, value, gate.holds(value))
        for gate in gates
        for value in [values.get(gate.measure)]
    )
