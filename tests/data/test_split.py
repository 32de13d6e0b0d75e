"""Whole groups are held out: nobody is in two parts."""

from pathlib import Path

import pytest

from aural.data.split import Split, SplitOptions, choose, split
from aural.data.utterance import Utterance
from aural.errors import InputError, UnknownName


def lines(counts: dict[str, int]) -> list[Utterance]:
    """So many utterances of each speaker; of each every other is of the role big."""
    return [
        Utterance(
            f"{name}-{i}",
            Path("x.wav"),
            "text",
            speaker=name,
            metadata={"role": ("big", "small")[i % 2], "level": f"{name}/{i // 4}"},
        )
        for name, count in counts.items()
        for i in range(count)
    ]


EVERY = lines({"ann": 40, "bob": 40, "cai": 10, "dee": 10})


def test_named_speakers_are_held_out_whole() -> None:
    parts = split(EVERY, SplitOptions(test=("dee", "ann"), validation=("cai",)))
    assert {each.speaker for each in parts.train} == {"bob"}
    assert {each.speaker for each in parts.validation} == {"cai"}
    assert {each.speaker for each in parts.test} == {"dee", "ann"}
    assert len(parts.train) + len(parts.validation) + len(parts.test) == len(EVERY)
    assert parts.held == (("cai",), ("dee", "ann"))


@pytest.mark.parametrize("seed", range(8))
def test_a_drawn_share_is_of_utterances_and_of_whole_groups(seed: int) -> None:
    options = SplitOptions(by="level", test_share=0.2, validation_share=0.1, seed=seed)
    parts = split(EVERY, options)
    levels = [{each.metadata["level"] for each in part} for part in (parts.train, parts.test)]
    assert not levels[0] & levels[1]
    assert not levels[0] & {each.metadata["level"] for each in parts.validation}
    assert 20 <= len(parts.test) < 24
    assert 10 <= len(parts.validation) < 14
    assert split(EVERY[::-1], options).held == parts.held


def test_no_text_is_in_two_parts_however_it_is_written() -> None:
    texts = ("Good café.", "good cafe\u0301", "GOOD", "one", "Two!", "two", "three", "four", "five")
    said = [Utterance(str(i), Path("x.wav"), text) for i, text in enumerate(texts)]
    for seed in range(8):
        options = SplitOptions(by="text", test_share=0.3, validation_share=0.2, seed=seed)
        parts = split(said, options)
        places = [
            {part for part in ("train", "validation", "test") if each in getattr(parts, part)}
            for each in said
        ]
        assert all(len(each) == 1 for each in places)
        assert places[0] == places[1]
        assert places[4] == places[5]
    assert split(said, SplitOptions(by="text", test=("two",))).test == (said[4], said[5])


def test_another_seed_draws_others() -> None:
    options = [SplitOptions(by="level", test_share=0.2, seed=seed) for seed in range(6)]
    assert len({split(EVERY, each).held for each in options}) > 1


def test_choose() -> None:
    assert {each.metadata["role"] for each in choose(EVERY, ["role=big"])} == {"big"}
    chosen = choose(EVERY, ["role=big", "speaker=cai|dee"])
    assert len(chosen) == 10
    assert choose(EVERY, []) == EVERY
    with pytest.raises(UnknownName, match=r"unknown role 'bik'.*big, small"):
        choose(EVERY, ["role=bik"])
    with pytest.raises(UnknownName, match="unknown column 'rolle'"):
        choose(EVERY, ["rolle=big"])
    with pytest.raises(InputError, match="no condition"):
        choose(EVERY, ["big"])
    with pytest.raises(InputError, match="no utterance is left"):
        choose(EVERY, ["speaker=ann", "level=bob/0"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SplitOptions(test=("eve",)), "unknown speaker 'eve'"),
        (SplitOptions(by="room"), "room"),
        (SplitOptions(test=("ann", "bob", "cai", "dee")), "every speaker is held out"),
    ],
)
def test_what_can_not_be_split(options: SplitOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split(EVERY, options)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1},
        {"test_share": 1.0},
        {"validation_share": -0.1},
        {"test": ("a",), "validation": ("a",)},
    ],
)
def test_options_that_make_no_sense(wrong: dict) -> None:
    with pytest.raises(InputError):
        SplitOptions(**wrong)


def test_fewer_to_train_on_are_among_more_and_hold_out_the_same() -> None:
    def parts(most: int) -> Split:
        return split(EVERY, SplitOptions(test=("dee",), seed=3, most=most))

    whole = parts(0)
    trained = [{each.id for each in parts(most).train} for most in (2, 4, len(whole.train))]
    assert [len(each) for each in trained] == [2, 4, len(whole.train)]
    assert trained[0] < trained[1] < trained[2] == {each.id for each in whole.train}
    assert parts(2).test == whole.test
    assert len(parts(10**6).train) == len(whole.train)
    with pytest.raises(InputError, match="most is -1; give 0 or more"):
        SplitOptions(most=-1)


def test_only_what_is_named_is_trained_on() -> None:
    some = split(EVERY, SplitOptions(test=("dee",), train=("ann",)))
    assert {each.speaker for each in some.train} == {"ann"}
    assert some.test == split(EVERY, SplitOptions(test=("dee",))).test
    with pytest.raises(InputError, match="ann: named for two parts; give it once"):
        SplitOptions(test=("ann",), train=("ann", "bob"))
    with pytest.raises(UnknownName, match="zoe"):
        split(EVERY, SplitOptions(test=("dee",), train=("zoe",)))
