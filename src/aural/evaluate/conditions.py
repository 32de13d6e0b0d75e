"""Conditions to evaluate under: what is done to a recording before it is recognised.

A grid names noises and signal-to-noise ratios, rooms, bandwidths, codecs and levels. Every group is
swept by itself, starting from the recording as it is; crossed, every combination is tried.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_CONDITIONS = 2000
LEAST_RT60 = 0.2
"""Seconds: with less, rooms of the sizes that are drawn would hardly reflect."""
_NUMBER = re.compile(r"([+-]?(?:[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}))(k?)([a-z]*)", re.ASCII)
_UNITS = {"snr": "db", "rt60": "s", "distance": "m", "level": "db dbfs", "bandwidth": "hz"}
_CODEC = re.compile(r"([a-z0-9_-]{1,20})(?:@([0-9.]{1,9}k?))?", re.ASCII)


@dataclass(frozen=True)
class Condition:
    """What is done, in this order; None or "" where nothing is.

    rt60 (seconds; 0: no reflections) and distance (metres between mouth and microphone) put the
    talker into a room; noise is added at snr (dB, of active speech over noise); level sets the
    active speech level (dBFS); bandwidth is the rate (Hz) the sound passes through; codec is
    NAME@BITS a second, or "telephone".
    """

    rt60: float | None = None
    distance: float | None = None
    noise: str = ""
    snr: float | None = None
    level: float | None = None
    bandwidth: int | None = None
    codec: str = ""

    @property
    def name(self) -> str:
        """In words; "as recorded" where nothing is done."""
        parts = []
        if self.rt60 is not None or self.distance is not None:
            room = "" if self.rt60 is None else f"RT60 {_shown(self.rt60)} s"
            away = "" if self.distance is None else f"{_shown(self.distance)} m away"
            parts.append(", ".join(filter(None, (room, away))))
        if self.noise:
            ratio = "" if self.snr is None else f" at {_shown(self.snr)} dB"
            parts.append(f"{self.noise}{ratio}")
        if self.level is not None:
            parts.append(f"level {_shown(self.level)} dBFS")
        if self.bandwidth is not None:
            parts.append(f"through {_shown(self.bandwidth / 1000)} kHz")
        if self.codec:
            parts.append(self.codec)
        return "; ".join(parts) or "as recorded"

    def without(self, *names: str) -> Condition:
        """The same without these."""
        kept = {each.name: getattr(self, each.name) for each in fields(self)}
        return Condition(**{name: value for name, value in kept.items() if name not in names})


def _shown(value: float) -> str:
    """A number with every digit that was given."""
    return f"{value:.12g}"


AS_RECORDED = Condition()


@dataclass(frozen=True)
class Grid:
    """Values to sweep. noise needs snr, and snr noise; rt60 and distance make rooms together."""

    noise: tuple[str, ...] = ()
    snr: tuple[float, ...] = ()
    rt60: tuple[float, ...] = ()
    distance: tuple[float, ...] = ()
    level: tuple[float, ...] = ()
    bandwidth: tuple[int, ...] = ()
    codec: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.noise) != bool(self.snr):
            raise InputError(
                "noise and snr belong together: give both, as --noise white --snr 20:0:5"
            )
        limits = {"snr": (-60, 100), "rt60": (0, 5), "distance": (0.3, 7), "level": (-80, -10)}
        limits["bandwidth"] = (1000, 192_000)
        for name, (least, most) in limits.items():
            for value in getattr(self, name):
                if not least <= value <= most:
                    raise InputError(f"{name} is {value:g}; give {least:g} to {most:g}")
        for value in self.rt60:
            if 0 < value < LEAST_RT60:
                raise InputError(f"rt60 is {value:g}; give 0, or {LEAST_RT60:g} s to 5 s")

    @property
    def empty(self) -> bool:
        """Whether there is nothing to sweep."""
        return not any(getattr(self, field.name) for field in fields(self))

    def conditions(self, *, cross: bool = False) -> tuple[Condition, ...]:
        """The recording as it is, then each group's values by themselves, or crossed.

        Raises:
            InputError: more than MAX_CONDITIONS.
        """
        if self._count(cross=cross) > MAX_CONDITIONS:
            raise InputError(f"more than {MAX_CONDITIONS} conditions; give fewer values")
        groups = [group for group in self._groups() if group]
        found: Iterable[Condition]
        if cross:
            found = map(_merged, itertools.product(*([AS_RECORDED, *group] for group in groups)))
        else:
            found = itertools.chain([AS_RECORDED], *groups)
        return tuple(dict.fromkeys(found))

    def _count(self, *, cross: bool) -> int:
        """Of conditions at most, without making them."""
        rooms = max(1, len(self.rt60)) * max(1, len(self.distance))
        counts = [
            rooms if self.rt60 or self.distance else 0,
            len(self.noise) * len(self.snr),
            *map(len, (self.level, self.bandwidth, self.codec)),
        ]
        return math.prod(count + 1 for count in counts) if cross else 1 + sum(counts)

    def _groups(self) -> Iterator[list[Condition]]:
        rooms = itertools.product(self.rt60 or (None,), self.distance or (None,))
        yield [Condition(rt60=t, distance=d) for t, d in rooms if (t, d) != (None, None)]
        yield [Condition(noise=n, snr=s) for n, s in itertools.product(self.noise, self.snr)]
        yield [Condition(level=each) for each in self.level]
        yield [Condition(bandwidth=each) for each in self.bandwidth]
        yield [Condition(codec=each) for each in self.codec]


def _merged(parts: Iterable[Condition]) -> Condition:
    whole = AS_RECORDED
    for part in parts:
        given = {f.name: getattr(part, f.name) for f in fields(part)}
        whole = replace(whole, **{name: v for name, v in given.items() if v not in (None, "")})
    return whole


def parse_grid(
    *,
    noise: str = "",
    snr: str = "",
    rt60: str = "",
    distance: str = "",
    level: str = "",
    bandwidth: str = "",
    codec: str = "",
) -> Grid:
    """A grid from texts: values between commas, numbers also as FIRST:LAST:STEP, 16k for 16000.

    Raises:
        InputError: a text is none of these.
    """
    return Grid(
        noise=_names(noise),
        snr=parse_numbers("snr", snr),
        rt60=parse_numbers("rt60", rt60),
        distance=parse_numbers("distance", distance),
        level=parse_numbers("level", level),
        bandwidth=tuple(round(each) for each in parse_numbers("bandwidth", bandwidth)),
        codec=tuple(codec_of(each)[0] for each in _names(codec)),
    )


def parse_numbers(name: str, text: str) -> tuple[float, ...]:
    """The numbers of a text such as "20:-5:5", "0,0.3,0.6", "1m,3m" or "16k,8k".

    Raises:
        InputError: it is no such text.
    """
    return tuple(number for part in _names(text) for number in _range(name, part))


def _range(name: str, text: str) -> Iterator[float]:
    parts = [_number(name, part) for part in text.split(":")]
    if len(parts) == 1:
        yield parts[0]
        return
    if len(parts) != 3 or parts[2] == 0:
        raise InputError(f"{name} is {text!r}: a range is FIRST:LAST:STEP, as 20:-5:5")
    first, last, step = parts[0], parts[1], abs(parts[2])
    count = math.floor(abs(last - first) / step + 1e-9) + 1
    if count > MAX_CONDITIONS:
        raise InputError(f"{name} is {text!r}: more than {MAX_CONDITIONS} values")
    for index in range(count):
        yield round(first + math.copysign(index * step, last - first), 9)


def _number(name: str, text: str) -> float:
    found = _NUMBER.fullmatch("".join(text.split()).lower())
    if found is None or (found[3] and found[3] not in _UNITS.get(name, "").split()):
        raise InputError(f"{name} is {text!r}: give numbers, as 20,10,0 or 20:-5:5 or 16k")
    return float(found[1]) * (1000 if found[2] else 1)


def codec_of(text: str) -> tuple[str, str, int | None]:
    """ "opus@12k" as the text itself in one spelling, the codec and its bits a second (or None).

    Raises:
        InputError: it is no such text.
    """
    found = _CODEC.fullmatch(text.strip().lower())
    if found is None:
        raise InputError(f"codec is {text!r}: give NAME@BITS, as opus@12k")
    if found[2] is None:
        return found[1], found[1], None
    rate = round(_number("codec", found[2]))
    return f"{found[1]}@{rate / 1000:g}k", found[1], rate


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
