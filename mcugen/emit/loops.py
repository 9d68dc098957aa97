"""Calls that repeat with numbers growing evenly, as loops: the turns of bands of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_LONGEST = 64  # calls of one turn


@dataclass(frozen=True)
class Call:
    """What a call is, and the numbers in it that may differ from turn to turn."""

    kind: tuple[object, ...]
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Loop:
    """Calls first..first + period - 1, `count` times; steps[i][k] is added to number k of call i in every turn."""

    first: int
    period: int
    count: int
    steps: tuple[tuple[int, ...], ...]


def loops(calls: Sequence[Call]) -> list[Loop]:
    """All calls in their order, those that repeat as loops; the others are loops of one call and one turn."""
    found: list[Loop] = []
    at = 0
    while at < len(calls):
        longest = min(_LONGEST, (len(calls) - at) // 2)
        options = [_loop(calls, at, period) for period in range(1, longest + 1)]
        best = max(options, key=lambda loop: ((loop.count - 1) * loop.period, -loop.period), default=None)
        if best is None or best.count < 2 or best.period * best.count < 4:
            best = Loop(at, 1, 1, (tuple(0 for _ in calls[at].numbers),))
        found.append(best)
        at += best.period * best.count
    return found


def _loop(calls: Sequence[Call], first: int, period: int) -> Loop:
    """As many turns of that period as there are from `first` on."""
    turn = calls[first : first + period]
    following = calls[first + period : first + 2 * period]
    if [call.kind for call in turn] != [call.kind for call in following]:
        return Loop(first, period, 1, ())
    steps = tuple(
        tuple(b - a for a, b in zip(one.numbers, two.numbers, strict=True))
        for one, two in zip(turn, following, strict=True)
    )
    count = 2
    while True:
        start = first + count * period
        wanted = [
            Call(call.kind, tuple(n + count * s for n, s in zip(call.numbers, step, strict=True)))
            for call, step in zip(turn, steps, strict=True)
        ]
        if list(calls[start : start + period]) != wanted:
            return Loop(first, period, count, steps)
        count += 1
