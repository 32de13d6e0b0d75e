"""Conditions: how they are written, swept and crossed."""

import pytest

from aural.errors import InputError
from aural.evaluate.conditions import (
    AS_RECORDED,
    Condition,
    Grid,
    codec_of,
    parse_grid,
    parse_numbers,
)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("20:-5:5", (20, 15, 10, 5, 0, -5)),
        ("-5:20:-5", (-5, 0, 5, 10, 15, 20)),
        ("0:1:0.4", (0, 0.4, 0.8)),
        ("0,0.3,0.6", (0, 0.3, 0.6)),
        ("1, 3,5", (1, 3, 5)),
        (".5,5.", (0.5, 5)),
        ("16k,8k", (16000, 8000)),
        ("44.1k", (44100,)),
        ("-30", (-30,)),
        ("20 dB", (20,)),
        ("5,10:0:5", (5, 10, 5, 0)),
        ("", ()),
    ],
)
def test_numbers(text: str, numbers: tuple[float, ...]) -> None:
    assert parse_numbers("snr", text) == numbers


@pytest.mark.parametrize(
    "text", ["a", "1:2", "1:2:0", "1:2:3:4", "1e9", "0:99999:0.001", "nan", "5m"]
)
def test_what_is_no_number_is_told(text: str) -> None:
    with pytest.raises(InputError, match="snr is"):
        parse_numbers("snr", text)


def test_a_codec_has_one_spelling() -> None:
    assert codec_of("OPUS@12k") == codec_of("opus@12000") == ("opus@12k", "opus", 12000)
    assert codec_of("g711-mu") == ("g711-mu", "g711-mu", None)
    with pytest.raises(InputError, match="NAME@BITS"):
        codec_of("opus at 12k")


def test_each_group_is_swept_by_itself_after_the_recording_as_it_is() -> None:
    grid = parse_grid(
        noise="babble,white", snr="10,0", rt60="0.3,0.6", distance="1m,3m", level="-30",
        bandwidth="8k", codec="opus@12k",
    )  # fmt: skip
    conditions = grid.conditions()
    assert conditions[0] == AS_RECORDED
    assert len(conditions) == 1 + 4 + 4 + 3
    assert Condition(rt60=0.3, distance=3) in conditions
    assert Condition(noise="babble", snr=0) in conditions
    assert all(not (each.noise and each.rt60 is not None) for each in conditions)


def test_crossed_every_combination_is_there_once() -> None:
    grid = Grid(noise=("white",), snr=(10, 0), bandwidth=(8000,), level=(-30.0,))
    conditions = grid.conditions(cross=True)
    assert len(conditions) == len(set(conditions)) == 3 * 2 * 2
    assert Condition(noise="white", snr=0, bandwidth=8000, level=-30.0) in conditions


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"noise": "white"}, "belong together"),
        ({"snr": "5"}, "belong together"),
        ({"noise": "white", "snr": "1000"}, "snr is 1000"),
        ({"rt60": "-1"}, "rt60 is -1"),
        ({"distance": "0"}, "distance is 0"),
        ({"distance": "1m", "rt60": "0.1"}, "rt60 is 0.1; give 0, or 0.2"),
        ({"level": "3"}, "level is 3"),
        ({"bandwidth": "10"}, "bandwidth is 10"),
    ],
)
def test_what_cannot_be_done_is_told(given: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_grid(**given)


def test_too_many_conditions_are_refused_before_they_are_made() -> None:
    many = tuple(float(n) for n in range(-50, 90))
    grid = Grid(noise=("a", "b"), snr=many, level=tuple(-10 - n / 2 for n in range(80)))
    with pytest.raises(InputError, match="more than 2000"):
        grid.conditions(cross=True)


def test_names_say_what_is_done() -> None:
    assert AS_RECORDED.name == "as recorded"
    assert Condition(noise="babble", snr=-5).name == "babble at -5 dB"
    assert (
        Condition(rt60=0.3, distance=1, codec="opus@12k").name == "RT60 0.3 s, 1 m away; opus@12k"
    )
    assert Condition(level=-30, bandwidth=8000).name == "level -30 dBFS; through 8 kHz"


def test_an_empty_grid_knows_it() -> None:
    assert Grid().empty
    assert not parse_grid(codec="mp3@32k").empty
