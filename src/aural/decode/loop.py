"""Texts that turn in a loop, as a greedy search leaves them that never finds its end."""

from __future__ import annotations


def without_loop(
    tokens: tuple[int, ...], *, shortest: int = 0, longest_turn: int | None = None
) -> tuple[int, ...]:
    """tokens with an ending that goes round three times or more cut to its first turn; as they are
    where it has none.

    The ending of the shortest turn counts; a last turn may be cut short. shortest: tokens that it
    has to have; longest_turn: of those that are looked for, any where it is not given.
    """
    most = len(tokens) // 3
    for turn in range(1, min(most, longest_turn or most) + 1):
        same = turn
        while same < len(tokens) and tokens[-1 - same] == tokens[-1 - same + turn]:
            same += 1
        if same >= max(3 * turn, shortest):
            return tokens[: len(tokens) - same + turn]
    return tokens
