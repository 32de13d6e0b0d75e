"""The options that name conditions to evaluate under, for every command that can be swept."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

OPTIONS = {
    "noise": "white, pink ..., babble (of other utterances), a kind of recorded sound (music, "
    "places, animals ...), a file or a folder of recordings.",
    "snr": "dB of active speech over the noise, as 20:-5:5 or 20,10,0.",
    "rt60": "Reverberation times in seconds, as 0,0.3,0.6; rooms are computed.",
    "distance": "Metres between talker and microphone in such a room, as 1m,3m.",
    "level": "Active speech levels in dBFS, as -20,-50.",
    "bandwidth": "Rates to pass the sound through, as 16k,8k.",
    "codec": "Coded and decoded again: telephone, g722, opus@12k, mp3@32k ...",
}


def condition_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options; `conditions` is then none, or as recorded and the rest."""

    @wraps(command)
    def with_conditions(*args: Any, cross: bool, **given: Any) -> Any:
        from aural.evaluate.conditions import parse_grid

        grid = parse_grid(**{name: given.pop(name) or "" for name in OPTIONS})
        conditions = () if grid.empty else grid.conditions(cross=cross)
        return command(*args, conditions=conditions, **given)

    cross = click.option(
        "--cross", is_flag=True, help="Every combination of conditions, not each group by itself."
    )
    wrapped = cross(with_conditions)
    for name, text in reversed(OPTIONS.items()):
        wrapped = click.option(f"--{name}", metavar="VALUES", help=text)(wrapped)
    return wrapped
