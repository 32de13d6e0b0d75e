"""Mirrors of frozen dataclasses: the fields, types and defaults, and the way back."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from aural.errors import InputError
from aural.train.values import MISSING, from_values, holding, mirror, mirror_of_arguments


@dataclass(frozen=True)
class Part:
    name: str
    rate: float = 1.0


@dataclass(frozen=True)
class Whole:
    steps: int
    kind: Literal["a", "b"] = "b"
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[float, float] = (0.1, 0.2)
    nested: tuple[tuple[float, float], ...] = ((1.0, 2.0),)
    parts: tuple[Part, ...] = (Part("x", 2.0),)
    part: Part = field(default_factory=lambda: Part("own"))
    share: float | None = None
    fill: Literal["mean"] | float = "mean"
    more: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.steps == 13:
            raise InputError("steps is 13; give another")


def test_a_mirror_has_fields_types_and_defaults() -> None:
    made = mirror(Whole)
    types = {each.name: each.type for each in dataclasses.fields(made)}
    assert list(types) == [each.name for each in dataclasses.fields(Whole)]
    assert (types["steps"], types["kind"], types["sizes"]) == (int, str, list[int])
    assert (types["pair"], types["nested"], types["fill"]) == (list[float], list[Any], Any)
    assert (types["share"], types["more"]) == (float | None, dict[str, Any])
    form = made()
    form.steps = 4  # not frozen
    assert (form.kind, form.sizes, form.pair, form.nested) == (
        "b",
        [1, 2],
        [0.1, 0.2],
        [[1.0, 2.0]],
    )
    assert (form.part.name, form.part.rate) == ("own", 1.0)
    assert form.parts == [{"name": "x", "rate": 2.0}]
    form.sizes.append(3)
    assert made().sizes == [1, 2]
    assert made().steps == MISSING


def test_there_and_back() -> None:
    for whole in (
        Whole(3),
        Whole(
            1, "a", (), (1.0, 2.0), (), (Part("p"), Part("q", 3.0)), Part("z"), 0.5, 2.0, {"k": 1}
        ),
    ):
        values = dataclasses.asdict(mirror(Whole, given=whole)())
        assert from_values(Whole, values) == whole


def test_defaults_of_a_value_and_fields_left_out() -> None:
    form = mirror(Whole, without=("kind", "part"), given=Whole(7, sizes=(9,)))()
    assert (form.steps, form.sizes) == (7, [9])
    assert not hasattr(form, "kind")


def test_what_is_unknown_missing_or_refused() -> None:
    with pytest.raises(InputError, match="there is stepps; known are steps, kind"):
        from_values(Whole, {"steps": 1, "stepps": 1})
    with pytest.raises(InputError, match="part has rat; known are name, rate"):
        from_values(Whole, {"steps": 1, "part": {"name": "x", "rat": 1}})
    with pytest.raises(InputError, match="there is no steps"):
        from_values(Whole, {})
    with pytest.raises(InputError, match="steps is 13"):
        from_values(Whole, {"steps": 13})


def test_arguments_of_a_function() -> None:
    def goal(network: "Unknown", batch: "Unknown", *, weight: float = 0.3) -> None:  # noqa: F821
        """Annotations of what is not asked for need not be found."""

    form = mirror_of_arguments(goal)
    assert [(each.name, each.type, each.default) for each in dataclasses.fields(form)] == [
        ("weight", float, 0.3)
    ]


def test_a_section_is_replaced() -> None:
    form = holding(mirror(Whole), part=mirror(Part, given=Part("other", 5.0)))()
    assert (form.part.rate, form.kind) == (5.0, "b")
