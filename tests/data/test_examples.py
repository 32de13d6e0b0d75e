"""Utterances as features and tokens, distorted by what the generator draws and nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from aural.audio.augment.spectrogram import SpecAugment
from aural.data.augmentation import Augmenter, AugmentOptions
from aural.data.examples import Examples, Held, duration_of, samples_of, with_sound_of_another
from aural.data.utterance import Utterance
from aural.errors import AudioError, InputError, UnknownName
from aural.nn.exported import FeatureOptions
from aural.text.tokens import characters

FEATURES = FeatureOptions(n_mels=20)
MASKS = SpecAugment(time_warp=0, frequency_masks=1, frequency_width=6, time_masks=1, time_width=9)


@pytest.fixture
def utterances(tmp_path: Path) -> list[Utterance]:
    """Three recordings of noise at 8 kHz, the first in stereo."""
    rng = np.random.default_rng(0)
    made = []
    for i, (seconds, channels) in enumerate(((0.5, 2), (0.8, 1), (0.3, 1))):
        path = tmp_path / f"{i}.wav"
        soundfile.write(path, rng.normal(0, 0.1, (round(8000 * seconds), channels)), 8000)
        made.append(Utterance(f"u{i}", path, ("One", "two", "three")[i], speaker=f"s{i}"))
    return made


def examples(utterances: list[Utterance], augment: AugmentOptions | None = None) -> Examples:
    return Examples(
        utterances, FEATURES, characters(["one two three"]), normalise=str.lower, augment=augment
    )


def test_an_example_is_its_utterance(utterances: list[Utterance]) -> None:
    made = examples(utterances)
    assert made.durations == pytest.approx((0.5, 0.8, 0.3))
    one = made.example(0)
    assert (one.id, one.text, one.seconds) == ("u0", "one", pytest.approx(0.5))
    assert characters(["one two three"]).decode(one.tokens) == "one"
    samples = samples_of(utterances[0], 16000)
    assert len(samples) == pytest.approx(8000, abs=1)
    assert np.array_equal(one.features, FEATURES.features(samples))
    assert one.features.dtype == np.float32
    assert one.features.shape[1] == 20


@pytest.mark.parametrize(
    "options",
    [
        AugmentOptions(speed=(0.9, 1.1), gain_db=(-6, 6)),
        AugmentOptions(noises=("white", "pink"), noise_probability=1.0),
        AugmentOptions(rt60=(0.2, 0.4), room_probability=1.0),
        AugmentOptions(spectrogram=MASKS),
    ],
)
def test_the_generator_alone_decides(utterances: list[Utterance], options: AugmentOptions) -> None:
    made, again = examples(utterances, options), examples(utterances, options)
    made.example(1, np.random.default_rng(5))
    first = made.example(1, np.random.default_rng([1, 2, 3])).features
    assert np.array_equal(first, again.example(1, np.random.default_rng([1, 2, 3])).features)
    others = [made.example(1, np.random.default_rng(seed)).features for seed in range(4)]
    assert not all(np.array_equal(first, other) for other in others)
    plain = examples(utterances).example(1).features
    assert np.array_equal(made.example(1).features, plain)


def test_speed_and_masks_do_what_they_say(utterances: list[Utterance]) -> None:
    options = AugmentOptions(speed=(0.5,))
    assert (options.slowest, options.fastest) == (2.0, 2.0)
    slow = examples(utterances, options).example(1, np.random.default_rng(0)).features
    plain = examples(utterances).example(1).features
    assert len(slow) == pytest.approx(2 * len(plain), abs=3)
    masked = Augmenter(AugmentOptions(spectrogram=MASKS), 16000).on_features(
        plain, np.random.default_rng(1)
    )
    changed = masked != plain
    rows, columns = np.all(changed, axis=1), np.all(changed, axis=0)
    assert np.array_equal(changed, rows[:, None] | columns[None, :])
    assert 0 < rows.sum() + columns.sum() <= 9 + 6


def test_silence_is_left_as_it_is() -> None:
    augmenter = Augmenter(AugmentOptions(noises=("white",), noise_probability=1.0), 16000)
    silence = np.zeros(1600, np.float32)
    assert np.array_equal(augmenter.on_samples(silence, np.random.default_rng(0)), silence)


def test_each_has_the_sound_of_another(utterances: list[Utterance]) -> None:
    for seed in range(5):
        others = with_sound_of_another(utterances, seed)
        assert sorted(each.audio for each in others) == sorted(each.audio for each in utterances)
        pairs = zip(others, utterances, strict=True)
        assert all(a.audio != b.audio and a.text == b.text and a.id == b.id for a, b in pairs)
    with pytest.raises(InputError, match="two or more"):
        with_sound_of_another(utterances[:1], 0)


def test_what_can_not_be_read_or_written(utterances: list[Utterance], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="u0: its text 'One' has no token"):
        Examples(utterances, FEATURES, characters(["xyz"]))
    (tmp_path / "1.wav").write_bytes(b"RIFF not a recording")
    with pytest.raises(AudioError, match=r"1\.wav"):
        duration_of(utterances[1])
    with pytest.raises(AudioError, match=r"1\.wav"):
        samples_of(utterances[1], 16000)


def test_a_recording_much_longer_than_stated_is_refused(utterances: list[Utterance]) -> None:
    """Batches are cut by what is stated: an hour said to be a second would fill the memory."""
    stated = [replace(utterances[1], duration=seconds) for seconds in (0.7, 0.1)]
    assert examples(stated[:1]).example(0).features.shape[1] == 20
    for options in (None, AugmentOptions(speed=(0.9,))):
        with pytest.raises(InputError, match=r"u1: lasts 0\.8 s, and 0\.1 s by its manifest"):
            examples(stated[1:], options).example(0, np.random.default_rng(0))
    part = replace(stated[1], offset=0.2)
    assert len(samples_of(part, 8000)) == 800
    examples([part]).example(0)


def test_held_arrays_are_bounded() -> None:
    held, made = Held(max_bytes=100), []

    def make() -> np.ndarray:
        made.append(1)
        return np.zeros(20, np.float32)

    for name in ("a", "b", "a", "b", "a"):
        held.get(name, make)
    assert len(made) == 3  # "a" once, "b" each time


@pytest.mark.parametrize(
    "wrong",
    [
        {"noises": ("whyte",)},
        {"noise_probability": 1.5},
        {"room_probability": -1},
        {"speed": (0.0,)},
        {"gain_db": (3.0, -3.0)},
        {"rt60": (0.8, 0.2)},
    ],
)
def test_options_that_make_no_sense(wrong: dict) -> None:
    with pytest.raises((InputError, UnknownName)):
        AugmentOptions(**wrong)
