"""Rooms: impulse responses made by the image method or measured, and sound heard through them.

A response is what a microphone records of an impulse: float32 of shape (time,), made so that the
direct sound is 1 / distance in metres (1 at one metre), at its sample of distance / 343 m/s.
RT60 is the time in which the sound falls by 60 dB, in seconds; sizes and places are in metres,
from a corner of a room with flat walls at right angles that absorb the same share of energy at
every frequency.

What is behind the numbers: images of the source, Allen and Berkley 1979; sub-sample arrival by a
windowed sinc, Peterson 1986; absorption from RT60, Eyring 1930; decay from the backward integral,
Schroeder 1965 and ISO 3382; after the early reflections a Gaussian tail that decays (Polack 1988).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from aural.audio.augment.given import (
    as_audio,
    check_choice,
    check_count,
    check_number,
    check_range,
    check_rate,
    picked,
    recorded,
)
from aural.audio.augment.level import active_speech_level, as_sound
from aural.audio.resample import resample
from aural.errors import InputError
from aural.types import Audio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aural.audio.augment import Drawn

Keep = Literal["level", "none"]

SPEED_OF_SOUND = 343.0
"""Metres a second, in air of 20 degrees Celsius."""
NEAREST = 0.01
"""Metres between source and microphone at least."""
MAX_SIDE, MAX_RT60 = 200.0, 20.0
MOST_MILLISECONDS = 1e6
MAX_ABSORPTION = 0.6
"""Walls that absorb more leave a few reflections, through which no slope of decay can be laid."""
MAX_IMAGES = 4_000_000
MIXED = 200_000
"""Images after which reverberation is diffuse in any room (in one of 30 m³, after 0.3 s)."""

_DECAY = 6 * math.log(10)  # of the energy in RT60


@dataclass(frozen=True)
class Reverberate:
    """Heard through one of several measured responses, drawn evenly.

    A response is resampled to the sound's rate. One of several channels is a set of microphones:
    mono sound gets its channels. keep as in `reverberate`.
    """

    responses: tuple[Audio, ...]
    keep: Keep = "level"

    def __post_init__(self) -> None:
        check_choice("keep", self.keep, get_args(Keep))
        if not self.responses:
            raise InputError("responses is empty; give at least one Audio")
        for index, response in enumerate(self.responses):
            check_rate(response.sample_rate)
            if not as_sound(response.samples, f"responses[{index}]").any():
                raise InputError(f"responses[{index}] is silence; give an impulse response")

    def draw(self, value: Audio, rng: np.random.Generator) -> Drawn:
        """Which response."""
        as_audio(value)
        return {"response": int(rng.integers(len(self.responses)))}

    def apply(self, value: Audio, drawn: Drawn) -> Audio:
        """The sound, reverberant."""
        value, (index,) = as_audio(value), recorded(drawn, "response")
        response, rate = picked("response", self.responses, index), value.sample_rate
        scale = np.float32(response.sample_rate / rate)  # a sum over samples is an integral
        heard = resample(response.samples, response.sample_rate, rate) * scale
        return Audio(reverberate(value.samples, heard, rate, self.keep), rate)


@dataclass(frozen=True)
class Room:
    """Heard in a room of its own: RT60, distance and size drawn evenly, places wherever they fit.

    rt60: (low, high) seconds; (0, 0) is no reflection. distance_m: (nearest, farthest) from talker
    to microphone. size_m: (low, high) of length, width and height. Both are wall_m or more from
    every wall. Rooms that the distance does not fit into, or too big for the RT60, are drawn again.
    """

    rt60: tuple[float, float] = (0.2, 0.8)
    distance_m: tuple[float, float] = (0.5, 3.0)
    size_m: tuple[tuple[float, float], ...] = ((3.0, 10.0), (3.0, 8.0), (2.4, 4.0))
    wall_m: float = 0.3
    keep: Keep = "level"

    def __post_init__(self) -> None:
        check_choice("keep", self.keep, get_args(Keep))
        check_range("rt60", self.rt60, 0, MAX_RT60)
        check_range("distance_m", self.distance_m, NEAREST, MAX_SIDE)
        if len(self.size_m) != 3:
            raise InputError(f"size_m is {self.size_m}; give (low, high) of three sides")
        if not self.wall_m > 0:
            raise InputError(f"wall_m is {self.wall_m}; give more than 0 m")
        for side in self.size_m:
            check_range("a side of size_m", side, 2 * self.wall_m, MAX_SIDE)
        farthest = math.dist((2 * self.wall_m,) * 3, [high for _, high in self.size_m])
        if farthest < self.distance_m[1]:
            raise InputError(
                f"distance_m is {self.distance_m}, and the biggest room of size_m {self.size_m} "
                f"holds {farthest:.2f} m; give a shorter distance or a longer side"
            )
        least = least_rt60([low for low, _ in self.size_m])
        if max(self.rt60) > 0 and self.rt60[0] < least:
            raise InputError(
                f"rt60 is {self.rt60}, and the smallest room of size_m {self.size_m} has at least "
                f"{least:.3f} s; give that or more, (0, 0) for no reflections, or a smaller room"
            )

    def draw(self, value: Audio, rng: np.random.Generator) -> Drawn:
        """The room (size, source, microphone, rt60) and the seed of its late reverberation."""
        as_audio(value)
        rt60, distance = float(rng.uniform(*self.rt60)), float(rng.uniform(*self.distance_m))
        low, high = np.transpose(self.size_m)
        for _ in range(10_000):
            size = rng.uniform(low, high)
            way = rng.standard_normal(3)
            way *= distance / math.hypot(*way)
            play = size - 2 * self.wall_m - np.abs(way)
            if play.min() >= 0 and (rt60 == 0 or least_rt60(size) <= rt60):
                break
        else:
            raise InputError(
                f"hardly a room of size_m {self.size_m} holds {distance:.2f} m and can have an "
                f"RT60 of {rt60:.3f} s; give a shorter distance, a longer rt60 or other sides"
            )
        microphone = self.wall_m + np.maximum(0, -way) + play * rng.random(3)
        return {
            "size_m": size.tolist(),
            "source": (microphone + way).tolist(),
            "microphone": microphone.tolist(),
            "rt60": rt60,
            "seed": int(rng.integers(2**32)),
        }

    def apply(self, value: Audio, drawn: Drawn) -> Audio:
        """The sound as the microphone hears it, without the delay of the direct sound."""
        value = as_audio(value)
        names = ("size_m", "source", "microphone", "rt60", "seed")
        size, source, microphone, rt60, seed = recorded(drawn, *names)
        rng, rate = np.random.default_rng(seed), value.sample_rate
        response = room_response(size, source, microphone, rt60, rate, rng=rng)
        direct = round(math.dist(source, microphone) / SPEED_OF_SOUND * rate)
        made = reverberate(value.samples, response, rate, self.keep, direct=direct)
        return Audio(made, rate)


def room_response(
    size_m: Sequence[float],
    source: Sequence[float],
    microphone: Sequence[float],
    rt60: float | None,
    sample_rate: int,
    *,
    absorption: float | None = None,
    max_order: int | None = None,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Impulse response from source to microphone in a room: float32, shape = (time,).

    rt60, or instead the share of energy that walls absorb (above 0, to 1): the RT60 is then
    Eyring's. rt60 0 and absorption 1 leave the direct sound alone. The response ends when it has
    fallen by 60 dB.

    max_order None: single reflections until the ears no longer tell them apart (50 ms or 3 ms for
    each root of a cubic metre after the direct sound), then a diffuse tail of Gaussian noise from
    rng (None: always the same); with rt60, absorption is adjusted until `rt60_of` measures it
    within 1 % (of a hundred rooms at their least rt60, one stays more than 5 % off). A number: the
    images of up to so many reflections and nothing else, with Eyring's absorption: so several
    microphones hear the same sound field, whose decay is slower than Eyring's in the end, since
    images along the longest side meet few walls.

    InputError for a place outside the room or nearer than a centimetre to the other, for an rt60
    below the room's least (`least_rt60`), and where there are more than 4 million images.
    """
    check_rate(sample_rate)
    places = _places(size_m, source, microphone)
    rt60 = _checked_rt60(places, rt60, absorption)
    if max_order is not None:
        check_count("max_order", max_order, 0, MAX_IMAGES)
    if rt60 == 0 or max_order == 0:
        made = _direct(places, sample_rate)
    elif max_order is not None:
        end = places.start + rt60
        images = _images(places, end, max_order)
        gains = images.gains * places.reflection(rt60) ** images.orders
        late = _arrivals(images.times, gains, sample_rate, end)
        made = _sum(_direct(places, sample_rate), _high_passed(late, sample_rate))
    else:
        make = _Hybrid(places, rt60, sample_rate, rng)
        made = make(rt60) if absorption is not None else _adjusted(make, rt60)
    return made.astype(np.float32)


def reverberate(
    samples: np.ndarray,
    response: np.ndarray,
    sample_rate: int,
    keep: Keep = "level",
    align: bool = True,
    direct: int | None = None,
) -> np.ndarray:
    """samples through an impulse response at the same rate: float32, as long as samples.

    align: the delay of the direct sound is taken off, so that words stay at their times; direct is
    its sample (None: `direct_sound` finds it). keep "level": the active speech level stays; "none":
    the distance makes it quieter. A mono response is that of every channel; one of several
    channels goes with as many, or makes them of mono. Silence stays silence.
    """
    from scipy.signal import oaconvolve

    check_choice("keep", keep, get_args(Keep))
    check_rate(sample_rate)
    samples, response = as_sound(samples), as_sound(response, "the response")
    if direct is not None and direct < 0:
        raise InputError(f"direct is {direct}; give a sample of the response")
    if samples.ndim == response.ndim == 2 and len(samples) != len(response):
        raise InputError(
            f"{len(samples)} channels through a response of {len(response)}; give as many, or mono"
        )
    first = 0
    if align:
        first = direct_sound(response, sample_rate) if direct is None else direct
    if samples.ndim < response.ndim:
        samples = np.broadcast_to(samples, (len(response), samples.size))
    response = np.broadcast_to(response, (*samples.shape[:-1], response.shape[-1]))
    length = samples.shape[-1]
    made = oaconvolve(samples, response, axes=-1)[..., first : first + length]
    made = np.pad(made, [(0, 0)] * (made.ndim - 1) + [(0, length - made.shape[-1])])
    if keep == "level":
        before = active_speech_level(samples, sample_rate).db
        after = active_speech_level(made, sample_rate).db
        if math.isfinite(before) and math.isfinite(after):
            made = made * 10 ** ((before - after) / 20)
    return made.astype(np.float32)


def direct_sound(response: np.ndarray, sample_rate: int) -> int:
    """The sample of the direct sound.

    It is the highest in the millisecond from where the response first comes within 20 dB of its
    highest: a pulse without high frequencies ripples before its peak.
    """
    check_rate(sample_rate)
    height = np.abs(as_sound(response, "the response"))
    height = height if height.ndim == 1 else height.max(axis=0)
    if not height.any():
        raise InputError("the response is silence; give an impulse response")
    first = int(np.argmax(height >= 0.1 * height.max()))
    return first + int(np.argmax(height[first : first + math.ceil(sample_rate / 1000) + 1]))


def rt60_of(response: np.ndarray, sample_rate: int, decay_db: float = 30.0) -> float:
    """RT60 in seconds: the slope of Schroeder's curve from -5 dB to decay_db below, times 60 dB.

    decay_db 30 is T30, 20 is T20 (ISO 3382). The noise of a measured response should lie 10 dB
    below where the slope ends. 0 where the sound falls at once, inf where the curve is
    level all the way.
    """
    check_rate(sample_rate)
    response = _mono_response(response)
    check_number("decay_db", decay_db, 1, 200)
    left = np.cumsum(np.square(response[::-1], dtype=np.float64))[::-1]
    first, last = (np.searchsorted(-left, -left[0] * 10 ** (-db / 10)) for db in (5, 5 + decay_db))
    if last - first < 2:
        return 0.0
    curve = 10 * np.log10(left[first:last])
    if curve[0] == curve[-1]:
        return math.inf
    time = np.arange(curve.size) - (curve.size - 1) / 2
    slope = float(time @ (curve - curve.mean()) / (time @ time)) * sample_rate
    return -60 / slope


def direct_to_reverberant(response: np.ndarray, sample_rate: int) -> float:
    """Energy within 2.5 ms of the direct sound over that of the rest, in dB; inf without a rest."""
    response = _mono_response(response)
    at, near = direct_sound(response, sample_rate), round(0.0025 * sample_rate)
    return _split_db(response, max(0, at - near), at + near + 1)


def clarity(response: np.ndarray, sample_rate: int, milliseconds: float = 50.0) -> float:
    """C50 (80: C80): energy up to so long after the direct sound over that of the rest, in dB."""
    response = _mono_response(response)
    check_number("milliseconds", milliseconds, 1, MOST_MILLISECONDS)
    end = direct_sound(response, sample_rate) + round(milliseconds / 1000 * sample_rate)
    return _split_db(response, 0, end)


def least_rt60(size_m: Sequence[float]) -> float:
    """The shortest RT60 a room can have, by Eyring's formula, with walls that absorb 60 %."""
    return _mean_free_time(*_sides(size_m)) * _DECAY / -math.log(1 - MAX_ABSORPTION)


def _mean_free_time(length: float, width: float, height: float) -> float:
    """Seconds between two reflections on average: 4 volumes over the surface."""
    surface = 2 * (length * width + width * height + height * length)
    return 4 * length * width * height / surface / SPEED_OF_SOUND


Place = tuple[float, float, float]


@dataclass(frozen=True)
class _Places:
    """A room and two places in it."""

    size: Place
    source: Place
    microphone: Place

    @property
    def distance(self) -> float:
        return math.dist(self.source, self.microphone)

    @property
    def start(self) -> float:
        """Seconds until the direct sound arrives."""
        return self.distance / SPEED_OF_SOUND

    def reflection(self, rt60: float) -> float:
        """Share of amplitude that a wall gives back, by Eyring's formula."""
        return math.exp(-_DECAY * _mean_free_time(*self.size) / rt60 / 2)


@dataclass(frozen=True)
class _Images:
    """The images of a source, but for itself: times of arrival, 1 / distance, reflections."""

    times: np.ndarray
    gains: np.ndarray
    orders: np.ndarray


class _Hybrid:
    """A response of early images and a noise-like tail, for any RT60 with the same noise."""

    def __init__(
        self, places: _Places, rt60: float, sample_rate: int, rng: np.random.Generator | None
    ) -> None:
        start, volume = places.start, math.prod(places.size)
        mixed = (3 * MIXED * volume / (4 * math.pi)) ** (1 / 3) / SPEED_OF_SOUND
        blend = min(max(0.05, 0.003 * math.sqrt(volume)), mixed)
        self.places, self.rate, self._end = places, sample_rate, start + rt60
        self._images = _images(places, min(start + blend, self._end), None)
        self._times = np.arange(math.ceil(self._end * sample_rate) + 1) / sample_rate
        # From half way on images fade out and noise fades in, their powers adding up to one.
        turn = np.clip((self._times - start) / blend * 2 - 1, 0, 1) * (math.pi / 2)
        noise = (np.random.default_rng(0) if rng is None else rng).standard_normal(turn.size)
        # As many images as fit a shell of its volume, each of power 1 / distance²:
        power = 4 * math.pi * SPEED_OF_SOUND / volume / sample_rate
        self._fade, self._tail = np.cos(turn), noise * np.sin(turn) * math.sqrt(power)
        self._direct = _direct(places, sample_rate)

    def __call__(self, rt60: float) -> np.ndarray:
        """float64, shape = (time,); rt60 is Eyring's."""
        gains = self._images.gains * self.places.reflection(rt60) ** self._images.orders
        late = self._tail * np.exp(-_DECAY / 2 / rt60 * self._times)
        late += _arrivals(self._images.times, gains, self.rate, self._end)[: late.size] * self._fade
        return _sum(self._direct, _high_passed(late, self.rate))


def _adjusted(make: _Hybrid, rt60: float) -> np.ndarray:
    """The response that has this RT60, or comes nearest to it."""
    tried, best, nearest = rt60, np.empty(0), math.inf
    for _ in range(10):
        made = make(tried)
        ratio = rt60 / max(rt60_of(made, make.rate), rt60 / 4)
        if abs(math.log(ratio)) < nearest:
            best, nearest = made, abs(math.log(ratio))
        if nearest < 0.01:
            break
        tried = max(least_rt60(make.places.size) / 4, tried * ratio**0.8)
    return best


def _direct(places: _Places, sample_rate: int) -> np.ndarray:
    start, gain = np.array([places.start]), np.array([1 / places.distance])
    return _arrivals(start, gain, sample_rate, places.start)


def _sum(direct: np.ndarray, late: np.ndarray) -> np.ndarray:
    made = late.copy()
    made[: direct.size] += direct[: late.size]
    return made


def _images(places: _Places, until: float, max_order: int | None) -> _Images:
    """Those of at most max_order reflections that arrive until then (seconds)."""
    reach = until * SPEED_OF_SOUND
    axes = [
        _images_along(*along, reach, max_order)
        for along in zip(places.size, places.source, places.microphone, strict=True)
    ]
    count = math.prod(offsets.size for offsets, _ in axes)
    if count > MAX_IMAGES:
        raise InputError(
            f"{count} images of the source, more than {MAX_IMAGES}; give a lower max_order"
        )
    squares = [np.square(offsets) for offsets, _ in axes]
    distance = np.sqrt(squares[0][:, None, None] + squares[1][:, None] + squares[2])
    orders = axes[0][1][:, None, None] + axes[1][1][:, None] + axes[2][1]
    kept = (distance <= reach) & (orders > 0)
    if max_order is not None:
        kept &= orders <= max_order
    distance = distance[kept]
    return _Images(distance / SPEED_OF_SOUND, 1 / distance, orders[kept])


def _images_along(
    side: float, source: float, microphone: float, reach: float, max_order: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Along one axis: how far images are from the microphone, and in how many reflections."""
    most = math.ceil(reach / side) + 1
    cell = np.arange(-most, most + 1)  # the room itself is 0; odd ones are mirrored
    offsets = cell * side + np.where(cell % 2, side - source, source) - microphone
    orders = np.abs(cell)
    kept = np.abs(offsets) <= reach
    if max_order is not None:
        kept &= orders <= max_order
    return offsets[kept], orders[kept]


# Half the taps of the sinc, and how many places there are between two samples.
_TAPS, _FINE = 40, 32
_BLOCK = 1 << 17  # samples whose grid is made at once: 34 MB


def _arrivals(times: np.ndarray, gains: np.ndarray, sample_rate: int, until: float) -> np.ndarray:
    """A sinc of 80 taps under a Hann window at each time: float64, to _TAPS after until (seconds).

    All are put on a grid 32 times finer, each shared by its two neighbours, and shaped at once:
    68 dB above the difference to shaping one by one, in a time that hardly grows with their number.
    """
    samples = math.ceil(until * sample_rate) + _TAPS + 1
    if samples <= _BLOCK:
        return _block(times * sample_rate, gains, samples)
    made = np.zeros(samples + 2 * _TAPS + 2)
    order = np.argsort(times)
    arrivals, gains = times[order] * sample_rate, gains[order]
    for start in range(0, samples, _BLOCK):
        first, last = np.searchsorted(arrivals, (start, start + _BLOCK))
        if last > first:  # laid _TAPS later, so that what sounds before the block has room
            length = min(_BLOCK, samples - start) + 2 * _TAPS + 1
            part = _block(arrivals[first:last] - start + _TAPS, gains[first:last], length)
            made[start : start + length] += part
    return made[_TAPS : _TAPS + samples]


def _block(arrivals: np.ndarray, gains: np.ndarray, samples: int) -> np.ndarray:
    """So many samples; arrivals are in samples from the first, each before samples - _TAPS."""
    import scipy.fft

    place = (arrivals + _TAPS) * _FINE
    below = place.astype(np.int64)
    above = (place - below) * gains
    size = scipy.fft.next_fast_len((samples + _TAPS) * _FINE + 1, real=True)
    grid = np.bincount(below, gains - above, size)[:size]
    grid += np.bincount(below + 1, above, size)[:size]
    return _shaped(grid)[_TAPS : _TAPS + samples]


def _shaped(grid: np.ndarray) -> np.ndarray:
    import scipy.fft

    offset = np.arange(-_TAPS * _FINE, _TAPS * _FINE + 1) / _FINE
    pulse = np.sinc(offset) * (0.5 + 0.5 * np.cos(np.pi * offset / _TAPS))
    around = np.zeros(grid.size)
    around[: pulse.size] = pulse
    around = np.roll(around, -_TAPS * _FINE)
    made = scipy.fft.irfft(scipy.fft.rfft(grid) * scipy.fft.rfft(around), grid.size)
    return made[::_FINE]


def _high_passed(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Above 50 Hz: images all have the same sign, so many of them add up to an offset."""
    from scipy.signal import butter, sosfilt

    return sosfilt(butter(2, 50, "highpass", fs=sample_rate, output="sos"), samples)


def _places(size_m: Any, source: Any, microphone: Any) -> _Places:
    size = _sides(size_m)
    inside = {"source": _point("source", source), "microphone": _point("microphone", microphone)}
    for name, each in inside.items():
        if not all(0 < at < side for at, side in zip(each, size, strict=True)):
            raise InputError(
                f"{name} {each} is not inside the room of {size} m; "
                "give each coordinate above 0 and below its side"
            )
    places = _Places(size, **inside)
    if places.distance < NEAREST:
        raise InputError(
            f"source and microphone are both at {places.source}; give {NEAREST} m or more between"
        )
    return places


def _sides(size_m: Any) -> Place:
    size = _point("size_m", size_m)
    if min(size) <= 0 or max(size) > MAX_SIDE:
        raise InputError(f"size_m is {size}; give sides above 0, to {MAX_SIDE:g} m")
    return size


def _point(name: str, given: Any) -> Place:
    try:
        x, y, z = (float(each) for each in given)
    except (TypeError, ValueError):
        x = y = z = math.nan
    if not all(map(math.isfinite, (x, y, z))):
        raise InputError(f"{name} is {given}; give three finite numbers, in metres")
    return x, y, z


def _checked_rt60(places: _Places, rt60: float | None, absorption: float | None) -> float:
    if rt60 is not None and absorption is None:
        least = least_rt60(places.size)
        if rt60 != 0 and not least <= rt60 <= MAX_RT60:
            raise InputError(
                f"rt60 is {rt60} s; a room of {places.size} m has {least:.3f} to {MAX_RT60:g} s "
                "(give 0 for the direct sound alone, or absorption instead)"
            )
        return rt60
    if rt60 is not None or absorption is None:
        raise InputError(f"rt60 is {rt60} and absorption {absorption}; give one of them")
    if not 0 < absorption <= 1:
        raise InputError(f"absorption is {absorption}; give a share above 0, to 1")
    if absorption == 1:
        return 0.0
    rt60 = _DECAY * _mean_free_time(*places.size) / -math.log1p(-absorption)
    if rt60 > MAX_RT60:
        raise InputError(
            f"absorption {absorption} gives an RT60 of {rt60:.0f} s; give more, for at most "
            f"{MAX_RT60:g} s"
        )
    return rt60


def _mono_response(response: np.ndarray) -> np.ndarray:
    response = as_sound(response, "the response")
    if response.ndim != 1:
        raise InputError(f"the response has shape {response.shape}; give one channel, (time,)")
    if not response.any():
        raise InputError("the response is silence; give an impulse response")
    return response


def _split_db(response: np.ndarray, first: int, last: int) -> float:
    """Energy of samples first to last over that of the others."""
    power = np.square(response, dtype=np.float64)
    inside = power[first:last].sum()
    outside = power[:first].sum() + power[last:].sum()
    return 10 * math.log10(inside / outside) if outside > 0 else math.inf
