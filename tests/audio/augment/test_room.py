"""Rooms: images found by mirroring at walls, decays of known time, geometry that is drawn."""

import json
import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import butter, sosfilt

from aural.audio.augment import augment
from aural.audio.augment import room as module
from aural.audio.augment.level import active_speech_level
from aural.audio.augment.room import (
    SPEED_OF_SOUND,
    Reverberate,
    Room,
    clarity,
    direct_sound,
    direct_to_reverberant,
    least_rt60,
    reverberate,
    room_response,
    rt60_of,
)
from aural.audio.resample import resample
from aural.errors import InputError, UnknownName
from aural.types import Audio

EXAMPLE = Path(__file__).parents[3] / "examples" / "sense_and_sensibility_0880.flac"
RATE = 16000
ROOMS = [  # size, source, microphone
    ((6.0, 5.0, 3.0), (1.2, 3.1, 1.5), (4.1, 2.2, 1.3)),
    ((3.2, 4.1, 2.5), (1.0, 1.3, 1.2), (2.2, 2.9, 1.6)),
]


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return soundfile.read(EXAMPLE, dtype="float32")[0]


def pulse(offset: np.ndarray) -> np.ndarray:
    """A sinc of 80 samples under a Hann window."""
    window = 0.5 + 0.5 * np.cos(np.pi * offset / 40)
    return np.where(np.abs(offset) < 40, np.sinc(offset) * window, 0)


WHITE = np.random.default_rng(0).standard_normal(8000).astype(np.float32) * 0.1


def lag(made: np.ndarray, original: np.ndarray) -> int:
    """By how many samples the one is later than the other."""
    return int(np.argmax(np.correlate(made, original, "full"))) - (original.size - 1)


def noise_decay(rt60: float, rate: int, seconds: float, seed: int = 0) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return np.random.default_rng(seed).standard_normal(time.size) * 10 ** (-3 * time / rt60)


# --- the direct sound


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("distance", [0.05, 0.343, 1.0, 2.345, 5.0])
def test_the_direct_sound_comes_late_and_weak_by_its_distance(rate, distance):
    for no_reflections in ({"rt60": 0}, {"rt60": None, "absorption": 1}):
        places = (9, 5, 3), (1, 2, 1.5), (1 + distance, 2, 1.5)
        response = room_response(*places, sample_rate=rate, **no_reflections)
        delay = distance / SPEED_OF_SOUND * rate
        expected = pulse(np.arange(response.size) - delay) / distance
        np.testing.assert_allclose(response, expected, atol=1e-3 / distance)
        assert direct_sound(response, rate) == pytest.approx(delay, abs=0.5 + 1e-6)
    assert response.dtype == np.float32


def test_a_metre_and_a_whole_number_of_samples_is_one():
    response = room_response((5, 4, 3), (1, 1, 1), (1 + 3.43, 1, 1), 0, 16000)
    assert response[160] == pytest.approx(1 / 3.43, rel=1e-5)
    others = np.delete(response, 160)
    assert np.abs(others).max() < 1e-5


# --- the images


def images_by_mirroring(size, source, order: int) -> dict[tuple[float, ...], int]:
    """Places of images -> reflections, by mirroring at all six walls again and again."""
    found = {tuple(np.round(source, 9)): 0}
    newest = list(found)
    for reflections in range(1, order + 1):
        made = []
        for place in newest:
            for axis in range(3):
                for wall in (0.0, size[axis]):
                    mirrored = list(place)
                    mirrored[axis] = round(2 * wall - place[axis], 9)
                    if tuple(mirrored) not in found:
                        found[tuple(mirrored)] = reflections
                        made.append(tuple(mirrored))
        newest = made
    return found


@pytest.mark.parametrize(("size", "source", "microphone"), ROOMS)
@pytest.mark.parametrize("order", [1, 2, 4])
def test_images_are_where_mirrors_show_them(size, source, microphone, order):
    absorption = 0.3
    made = room_response(
        size, source, microphone, None, RATE, absorption=absorption, max_order=order
    )
    samples = np.arange(made.size)
    direct, late = np.zeros(made.size), np.zeros(made.size)
    for place, reflections in images_by_mirroring(size, source, order).items():
        distance = math.dist(place, microphone)
        heard = pulse(samples - distance / SPEED_OF_SOUND * RATE) / distance
        if reflections:
            late += heard * math.sqrt(1 - absorption) ** reflections
        else:
            direct += heard
    late = sosfilt(butter(2, 50, "highpass", fs=RATE, output="sos"), late)
    # Each pulse is 68 dB or more above its difference to the one written out here.
    np.testing.assert_allclose(made, direct + late, atol=5e-4)
    assert np.abs(late).max() > 0.1


def test_the_tail_goes_on_where_images_end():
    differences = []
    for places in (*ROOMS, ((4, 3, 2.7), (1, 1.3, 1.2), (2.2, 2, 1.6))):
        start = math.dist(*places[1:]) / SPEED_OF_SOUND
        part = slice(round((start + 0.04) * RATE), round((start + 0.1) * RATE))
        for absorption in (0.1, 0.3):
            made, images = (
                room_response(*places, None, RATE, absorption=absorption, max_order=order)[part]
                for order in (None, 35)
            )
            ratio = np.sum(made.astype(np.float64) ** 2) / np.sum(images.astype(np.float64) ** 2)
            differences.append(10 * math.log10(ratio))
    # In one room images add up to more than in another; noise has the mean of all.
    assert np.abs(differences).max() < 2.5
    assert abs(np.mean(differences)) < 0.75


def test_no_reflection_is_before_the_direct_sound_and_seeds_are_tails():
    size, source, microphone = ROOMS[0]
    responses = [
        room_response(size, source, microphone, 0.5, RATE, rng=np.random.default_rng(seed))
        for seed in (0, 0, 1)
    ]
    assert responses[0].tobytes() == responses[1].tobytes() != responses[2].tobytes()
    again = room_response(size, source, microphone, 0.5, RATE)
    assert again.tobytes() == room_response(size, source, microphone, 0.5, RATE).tobytes()
    start = math.dist(source, microphone) / SPEED_OF_SOUND * RATE
    assert np.abs(again[: int(start) - 41]).max() < 1e-6
    assert abs(float(again.astype(np.float64).sum())) < 1  # no offset, in spite of equal signs


# --- RT60


@pytest.mark.parametrize("rt60", [0.2, 0.3, 0.6, 1.0])
@pytest.mark.parametrize(("size", "source", "microphone"), ROOMS)
@pytest.mark.parametrize("rate", [8000, 16000])
def test_the_rt60_measured_is_the_one_wanted(size, source, microphone, rt60, rate):
    for seed in (0, 1):
        response = room_response(
            size, source, microphone, rt60, rate, rng=np.random.default_rng(seed)
        )
        assert rt60_of(response, rate) == pytest.approx(rt60, rel=0.05)
        assert rt60_of(response, rate, 20) == pytest.approx(rt60, rel=0.1)


def test_a_long_rt60_and_rooms_drawn_at_random():
    rng = np.random.default_rng(3)
    for _ in range(25):
        size = rng.uniform((2.5, 2.5, 2.2), (12, 9, 5))
        source, microphone = rng.uniform(0.3, size - 0.3), rng.uniform(0.3, size - 0.3)
        rt60 = max(rng.uniform(0.15, 1.5), 1.2 * least_rt60(size))
        response = room_response(size, source, microphone, rt60, 8000, rng=rng)
        assert rt60_of(response, 8000) == pytest.approx(rt60, rel=0.05)
    response = room_response(*ROOMS[0], 4.0, 8000)
    assert rt60_of(response, 8000) == pytest.approx(4, rel=0.05)
    assert np.isfinite(response).all()


@pytest.mark.parametrize("rt60", [0.1, 0.5, 2.0])
def test_the_measure_of_a_decay_that_is_known(rt60):
    time = np.arange(round(1.5 * rt60 * RATE)) / RATE
    smooth = 10 ** (-3 * time / rt60)
    assert rt60_of(smooth, RATE) == pytest.approx(rt60, rel=1e-3)
    rough = noise_decay(rt60, RATE, 1.5 * rt60)
    assert rt60_of(rough, RATE) == pytest.approx(rt60, rel=0.05)
    assert rt60_of(np.concatenate([np.zeros(777), rough]), RATE) == rt60_of(rough, RATE)


def test_what_does_not_decay():
    impulse = np.zeros(100)
    impulse[7] = 1
    assert rt60_of(impulse, RATE) == 0
    assert direct_to_reverberant(impulse, RATE) == math.inf
    assert clarity(impulse, RATE) == math.inf


def test_energy_early_and_late_of_a_decay_that_is_known():
    rt60, rate = 0.5, 48000
    time = np.arange(rate) / rate
    decay = 10 ** (-3 * time / rt60)
    for seconds in (0.05, 0.08):
        left = 10 ** (-6 * seconds / rt60)
        expected = 10 * math.log10((1 - left) / left)
        assert clarity(decay, rate, 1000 * seconds) == pytest.approx(expected, abs=0.02)
    left = 10 ** (-6 * 0.0025 / rt60)
    expected = 10 * math.log10((1 - left) / left)
    assert direct_to_reverberant(decay, rate) == pytest.approx(expected, abs=0.1)


def test_farther_is_more_reverberant():
    ratios = [
        direct_to_reverberant(
            room_response((7, 6, 3), (1, 1.1, 1.5), (1 + d, 1.5, 1.4), 0.5, RATE), RATE
        )
        for d in (0.5, 1, 2, 4)
    ]
    assert ratios == sorted(ratios, reverse=True)
    # Diffuse energy is that of all images, 4 pi c / volume a second; near by it is all there is.
    diffuse = 4 * math.pi * SPEED_OF_SOUND / (7 * 6 * 3) * 0.5 / (6 * math.log(10))
    nearest = -20 * math.log10(math.dist((0.5, 0.4, 0.1), (0, 0, 0))) - 10 * math.log10(diffuse)
    assert ratios[0] == pytest.approx(nearest, abs=2)


# --- sound in a room


def test_convolution_keeps_length_and_time(speech):
    response = room_response(*ROOMS[0], 0.4, RATE)
    delay = direct_sound(response, RATE)
    whole = np.convolve(speech.astype(np.float64), response)
    made = reverberate(speech, response, RATE, keep="none")
    np.testing.assert_allclose(made, whole[delay : delay + speech.size], atol=1e-5)
    late = reverberate(speech, response, RATE, keep="none", align=False)
    np.testing.assert_allclose(late, whole[: speech.size], atol=1e-5)
    short = reverberate(speech[:50], response, RATE, keep="none")
    np.testing.assert_allclose(short, np.convolve(speech[:50], response)[delay:][:50], atol=1e-5)
    assert made.dtype == np.float32
    assert abs(lag(reverberate(WHITE, response, RATE), WHITE)) <= 1


def test_an_impulse_changes_nothing_and_the_level_stays(speech):
    impulse = np.zeros(300)
    impulse[200] = 0.01
    np.testing.assert_allclose(reverberate(speech, impulse, RATE), speech, atol=1e-6)
    quiet = reverberate(speech, impulse, RATE, keep="none")
    np.testing.assert_allclose(quiet, 0.01 * speech, atol=1e-8)
    response = room_response(*ROOMS[1], 0.5, RATE)
    levels = [
        active_speech_level(each, RATE).db for each in (speech, reverberate(speech, response, RATE))
    ]
    assert levels[0] == pytest.approx(levels[1], abs=0.01)
    assert not reverberate(np.zeros(100), response, RATE).any()
    gone = reverberate(speech, impulse, RATE, direct=10**6)
    assert gone.shape == speech.shape
    assert not gone.any()


def test_channels(speech):
    speech = speech[:8000]
    one, other = (room_response(*ROOMS[index], 0.3, RATE) for index in (0, 1))
    both = np.stack([np.pad(each, (0, 6000 - each.size)) for each in (one, other)])
    alone = [reverberate(speech, each, RATE, "none", align=False) for each in both]
    for samples in (speech, np.stack([speech, speech])):
        made = reverberate(samples, both, RATE, "none", align=False)
        np.testing.assert_allclose(made, alone, atol=1e-6)
    mono = reverberate(np.stack([speech, 2 * speech]), one, RATE, "none")
    np.testing.assert_allclose(mono[1], 2 * mono[0], atol=1e-5)
    with pytest.raises(InputError, match="3 channels through a response of 2"):
        reverberate(np.stack([speech] * 3), both, RATE)


@pytest.mark.parametrize("rate", [8000, 48000])
def test_a_measured_response_of_another_rate_has_the_same_gain(speech, rate):
    impulse = np.zeros(rate // 10, np.float32)
    impulse[rate // 100] = 0.5
    impulse[rate // 20] = 0.2
    made = Reverberate((Audio(impulse, rate),), keep="none").apply(
        Audio(speech, RATE), {"response": 0}
    )
    assert made.sample_rate == RATE
    passed = resample(resample(speech, RATE, rate), rate, RATE)  # below half of both rates
    expected = 0.5 * passed
    echo = round(0.04 * RATE)
    expected[echo:] += 0.2 * passed[:-echo]
    error = np.mean((made.samples - expected) ** 2) / np.mean(expected**2)
    assert error < 1e-3


# --- rooms drawn


def test_rooms_fit_what_was_asked_for(speech):
    audio, rng = Audio(speech, RATE), np.random.default_rng(0)
    room = Room(rt60=(0.2, 0.6), distance_m=(0.5, 5.0), wall_m=0.4)
    for _ in range(200):
        drawn = room.draw(audio, rng)
        size, source, microphone = (np.array(drawn[k]) for k in ("size_m", "source", "microphone"))
        assert ((size >= (3, 3, 2.4)) & (size <= (10, 8, 4))).all()
        for place in (source, microphone):
            assert ((place >= 0.4 - 1e-9) & (place <= size - 0.4 + 1e-9)).all()
        assert 0.5 - 1e-9 <= math.dist(source, microphone) <= 5 + 1e-9
        assert max(0.2, least_rt60(size)) <= drawn["rt60"] <= 0.6
    far = Room(distance_m=(5, 5)).draw(audio, rng)
    assert math.dist(far["source"], far["microphone"]) == pytest.approx(5)


def test_heard_in_a_room(speech):
    audio = Audio(speech, RATE)
    done = augment(audio, Room(rt60=(0.5, 0.5)), np.random.default_rng(1))
    drawn = json.loads(json.dumps(done.drawn))
    assert done.augmentation.apply(audio, drawn).samples.tobytes() == done.value.samples.tobytes()
    assert done.value.samples.shape == speech.shape
    near = Room(rt60=(0.3, 0.3), distance_m=(0.5, 0.5))
    made = augment(Audio(WHITE, RATE), near, np.random.default_rng(2)).value.samples
    assert abs(lag(made, WHITE)) <= 1
    dry = augment(audio, Room(rt60=(0, 0), distance_m=(2, 2)), np.random.default_rng(1))
    # Less than a sample of delay is left, and the level is the same.
    assert np.corrcoef(dry.value.samples, speech)[0, 1] > 0.97
    assert np.corrcoef(done.value.samples, speech)[0, 1] < 0.95


# --- what can't be


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": (7, 1, 1)}, "source .* not inside"),
        ({"source": (1, 5, 1)}, "source .* not inside"),
        ({"microphone": (1, 1, -0.1)}, "microphone .* not inside"),
        ({"microphone": (1.2, 3.1, 1.5)}, "both at"),
        ({"microphone": (1.2, 3.1, 1.509)}, "both at"),
        ({"microphone": (1, 2)}, "three finite numbers"),
        ({"microphone": (1, 2, math.nan)}, "three finite numbers"),
        ({"microphone": 3}, "three finite numbers"),
        ({"size_m": (0, 1, 1)}, "sides above 0"),
        ({"size_m": (500, 1, 1)}, "to 200 m"),
        ({"size_m": "big"}, "three finite numbers"),
        ({"rt60": 0.05}, r"has 0\.126 to 20 s"),
        ({"rt60": -1}, "has 0"),
        ({"rt60": math.nan}, "has 0"),
        ({"rt60": 50}, "to 20 s"),
        ({"rt60": None}, "give one of them"),
        ({"absorption": 0.5}, "give one of them"),
        ({"rt60": None, "absorption": 0}, "above 0, to 1"),
        ({"rt60": None, "absorption": 1.1}, "above 0, to 1"),
        ({"rt60": None, "absorption": 1e-4}, "at most 20 s"),
        ({"max_order": -1}, "max_order"),
        ({"max_order": 200, "rt60": 10}, "lower max_order"),
        ({"sample_rate": 10}, "sample_rate"),
    ],
)
def test_rooms_that_can_not_be(change, message):
    size, source, microphone = ROOMS[0]
    given = {"size_m": size, "source": source, "microphone": microphone, "rt60": 0.5}
    with pytest.raises(InputError, match=message):
        room_response(**(given | {"sample_rate": RATE} | change))


def test_the_least_rt60_is_made_and_less_is_refused():
    size, source, microphone = ROOMS[0]
    volume, surface = 90, 126
    least = 24 * math.log(10) / SPEED_OF_SOUND * volume / (-surface * math.log(1 - 0.6))
    assert least_rt60(size) == pytest.approx(least, rel=1e-9)
    response = room_response(size, source, microphone, 1.001 * least, RATE)
    assert rt60_of(response, RATE) == pytest.approx(least, rel=0.1)
    assert room_response((0.2, 0.2, 0.2), (0.05,) * 3, (0.15,) * 3, 0.5, RATE).size > 8000


def test_rooms_that_can_not_be_drawn(speech):
    for change, message in (
        ({"rt60": (0.05, 0.5)}, r"has at least 0\.0"),
        ({"rt60": (0, 0.5)}, "give that or more"),
        ({"rt60": (0.5, 0.2)}, "rt60"),
        ({"distance_m": (1, 30)}, "holds 12"),
        ({"distance_m": (0, 1)}, "distance_m"),
        ({"size_m": ((3, 4), (3, 4))}, "three sides"),
        ({"size_m": ((3, 4), (3, 4), (0.1, 4))}, "a side of size_m"),
        ({"wall_m": 0}, "wall_m"),
    ):
        with pytest.raises(InputError, match=message):
            Room(**change)
    with pytest.raises(UnknownName, match="level, none"):
        Room(keep="loud")
    tight = Room(rt60=(0.1, 0.1), distance_m=(11, 11))
    with pytest.raises(InputError, match="hardly a room"):
        tight.draw(Audio(speech, RATE), np.random.default_rng(0))
    with pytest.raises(InputError, match="responses is empty"):
        Reverberate(())
    with pytest.raises(InputError, match="silence"):
        Reverberate((Audio(np.zeros(5, np.float32), RATE),))


@pytest.mark.parametrize(
    "bad", [np.zeros(0), np.array([math.nan]), np.zeros(5, np.int16), np.zeros((1, 1, 1))]
)
def test_samples_that_are_no_sound(speech, bad):
    for samples, response in ((bad, speech), (speech, bad)):
        with pytest.raises(InputError):
            reverberate(samples, response, RATE)
    for measure in (rt60_of, clarity, direct_to_reverberant):
        with pytest.raises(InputError):
            measure(bad, RATE)
        with pytest.raises(InputError, match="one channel"):
            measure(np.ones((2, 5)), RATE)
        with pytest.raises(InputError, match="silence"):
            measure(np.zeros(5), RATE)
    with pytest.raises(InputError, match="silence"):
        reverberate(speech, np.zeros(5), RATE)
    with pytest.raises(InputError, match="direct"):
        reverberate(speech, speech, RATE, direct=-1)
    with pytest.raises(InputError, match="decay_db"):
        rt60_of(speech, RATE, 0)


def test_a_decay_that_is_level_all_the_way():
    response = np.zeros(2000, np.float32)
    response[[0, 1000, 1999]] = 1.0, 0.316, 1e-4  # -10 dB from the second sample on, then -80
    assert rt60_of(response, RATE, 10.0) == math.inf


def test_a_hall_is_made_in_little_memory():
    """In one piece, a grid 32 times finer than 192 kHz and what is made of it take a gigabyte."""
    tracemalloc.start()
    places = (100, 60, 20), (50, 20, 10), (60, 40, 10)
    made = room_response(*places, None, 192_000, absorption=0.15)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made.size > 3 * 192_000
    assert most < 300e6


def test_images_are_laid_alike_in_blocks(monkeypatch):
    """To 1e-6 of what is 1 at a metre; a block is shorter than the response, or longer."""
    places = (6, 5, 3), (1, 1, 1.5), (4, 3, 1.2)
    whole = room_response(*places, 0.5, RATE, max_order=12)
    for size in (100, 977, 4096):
        monkeypatch.setattr(module, "_BLOCK", size)
        found = room_response(*places, 0.5, RATE, max_order=12)
        np.testing.assert_allclose(found, whole, rtol=0, atol=1e-6)


def test_damaged_records_of_responses(speech):
    rooms = Reverberate((Audio(np.eye(1, 100, dtype=np.float32)[0], RATE),))
    for index in (1, -1, 0.0, None):
        with pytest.raises(InputError, match=f"response {index} was drawn and there are 1"):
            rooms.apply(Audio(speech, RATE), {"response": index})
    with pytest.raises(InputError, match="no 'response'"):
        rooms.apply(Audio(speech, RATE), {})
    with pytest.raises(InputError, match="no 'seed'"):
        Room().apply(Audio(speech, RATE), {"size_m": 1, "source": 1, "microphone": 1, "rt60": 1})
