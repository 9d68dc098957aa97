"""Offsets for storages with distances between them, as low as possible: heuristics first, then branch and bound.

Where two storages i, j conflict, `gaps[i][j]` bytes must lie between their starts if i is the lower one, gaps[j][i] if
j is. gaps[i][j] is the size of i where they may not overlap at all, and less where they may.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

Gaps = Sequence[dict[int, int]]

_EXCHANGES = 1000
_QUICK_EXCHANGES = 60
_NODES = 5_000  # of the exact search
_DEEPEST = 500  # items of it, each a level: with more of them, so few nodes would not get far
_NOWHERE = -1  # offset of an item that is not placed yet


@dataclass(frozen=True)
class Solution:
    offsets: tuple[int, ...]
    height: int
    bound: int  # no placement is lower; equals height where that is proved


def solve(sizes: Sequence[int], gaps: Gaps, together: Sequence[frozenset[int]], *, quick: bool = False) -> Solution:
    """together: sets of items that live at the same time. quick: few exchanges, no exact search. Deterministic."""
    bound = max((least_height(group, sizes, gaps) for group in together), default=0)
    height, offsets = _heuristic(sizes, gaps, bound, _QUICK_EXCHANGES if quick else _EXCHANGES)
    if height > bound and not quick and len(sizes) <= _DEEPEST:
        search = _Search(sizes, gaps, together, height, offsets)
        complete = search.run()
        height, offsets = search.height, search.offsets
        bound = height if complete else bound
    return Solution(tuple(offsets), height, bound)


def least_height(group: frozenset[int], sizes: Sequence[int], gaps: Gaps) -> int:
    """A height that the items of one moment need at least, in whatever order they lie.

    Each but the highest one takes at least its smallest distance to another. Where one item may lie in another, the
    rest may need more without that one.
    """
    nearest = {i: sorted([(gaps[i].get(j, 0), j) for j in group if j != i])[:2] for i in group}

    def stack(without: int | None) -> int:
        steps = {i: next((g for g, j in near if j != without), sizes[i]) for i, near in nearest.items() if i != without}
        return sum(steps.values()) + min((sizes[i] - step for i, step in steps.items()), default=0)

    return max(stack(without) for without in (None, *group))


def _least_steps(group: frozenset[int], sizes: Sequence[int], gaps: Gaps) -> dict[int, int]:
    return {i: min([gaps[i].get(j, 0) for j in group if j != i], default=sizes[i]) for i in group}


def _heuristic(sizes: Sequence[int], gaps: Gaps, bound: int, exchanges: int) -> tuple[int, list[int]]:
    """First fit in several natural orders, then in orders with two items exchanged."""
    indices = range(len(sizes))
    orders = [
        sorted(indices, key=lambda i: (-sizes[i], i)),
        sorted(indices, key=lambda i: (-len(gaps[i]), -sizes[i], i)),
        sorted(indices, key=lambda i: (-sizes[i] * (len(gaps[i]) + 1), i)),
        list(indices),
        list(reversed(indices)),  # a chain in which each one follows the next
        sorted(reversed(indices), key=lambda i: 4 * sizes[i] < max(sizes)),  # the same, small ones where room is left
    ]
    near = [[(k, above, gaps[k][i]) for k, above in gaps[i].items()] for i in indices]
    results = [_first_fit(order, 0, [_NOWHERE] * len(sizes), sizes, near, sum(sizes)) for order in orders]
    best = min(range(len(orders)), key=lambda k: results[k][0])
    order, (height, offsets) = orders[best], results[best]
    chance = random.Random(0)
    for _ in range(exchanges if len(sizes) > 2 else 0):
        if height == bound:
            break
        i, j = chance.sample(indices, 2)
        trial = list(order)
        trial[i], trial[j] = trial[j], trial[i]
        found = _first_fit(trial, min(i, j), offsets, sizes, near, height)
        if found[0] <= height:
            order, (height, offsets) = trial, found
    return height, offsets


def _first_fit(
    order: Sequence[int],
    kept: int,
    offsets: Sequence[int],
    sizes: Sequence[int],
    near: Sequence[Sequence[tuple[int, int, int]]],
    most: int,
) -> tuple[int, list[int]]:
    """(height, offset of each item): each goes to the lowest place that those placed before leave.

    The first `kept` items stay at their `offsets`. Given up at the first height beyond `most`.
    near: of each item, those it may meet, with the distance to one above it and from one below it.
    """
    offsets = list(offsets)
    for i in order[kept:]:
        offsets[i] = _NOWHERE
    height = max([offsets[i] + sizes[i] for i in order[:kept]], default=0)
    for i in order[kept:]:
        taken = [(offsets[k] - to, offsets[k] + since) for k, to, since in near[i] if offsets[k] != _NOWHERE]
        taken.sort()
        offset = 0
        for above, below in taken:
            if offset <= above:
                break
            offset = max(offset, below)
        offsets[i] = offset
        height = max(height, offset + sizes[i])
        if height > most:
            break
    return height, offsets


class _Search:
    """Depth first over the items in order of their offsets.

    In some optimal placement every item lies at 0 or at its distance from one below it (else it could sink), so only
    those offsets are tried.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        gaps: Gaps,
        together: Sequence[frozenset[int]],
        height: int,
        offsets: list[int],
    ) -> None:
        self.sizes, self.gaps = sizes, gaps
        groups = [group for group in together if not any(group < other for other in together)]
        self.together = [(group, _least_steps(group, sizes, gaps)) for group in groups]
        self.height, self.offsets, self.nodes = height, offsets, _NODES

    def run(self) -> bool:
        """True if the whole tree was searched: `height` is the optimum."""
        self._place({}, [0] * len(self.sizes), frozenset(range(len(self.sizes))))
        return self.nodes > 0

    def _place(self, placed: dict[int, int], floors: list[int], left: frozenset[int]) -> None:
        if not left:
            top = max(offset + self.sizes[i] for i, offset in placed.items())
            if top < self.height:
                self.height, self.offsets = top, [placed[i] for i in range(len(self.sizes))]
            return
        last = max(placed.values(), default=0)
        if self._in_vain(floors, left, last):
            return
        for i in sorted(left, key=lambda i: (floors[i], -self.sizes[i], i)):
            if floors[i] < last:
                continue
            if self.nodes <= 0:
                return
            self.nodes -= 1
            raised = list(floors)
            for j, distance in self.gaps[i].items():
                raised[j] = max(raised[j], floors[i] + distance)
            self._place({**placed, i: floors[i]}, raised, left - {i})

    def _in_vain(self, floors: list[int], left: frozenset[int], last: int) -> bool:
        """Whether the items left will reach the height found before."""
        if any(max(last, floors[i]) + self.sizes[i] >= self.height for i in left):
            return True
        for at, (group, steps) in enumerate(self.together):
            rest = group & left
            if not rest:
                continue
            start = max(last, min([floors[i] for i in rest]))
            slack = min([self.sizes[i] - steps[i] for i in rest])
            if start + sum([steps[i] for i in rest]) + slack >= self.height:
                self.together.insert(0, self.together.pop(at))  # what is in vain often is so for the same reason
                return True
        return False
