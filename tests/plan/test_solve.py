"""The solver against brute force, on random instances small enough for it."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from mcugen.plan.solve import _Search, solve

Instance = tuple[list[int], list[dict[int, int]], list[frozenset[int]]]


def instance(seed: int, items: int, *, overlaps: bool) -> Instance:
    """Random lifetimes; with overlaps, some pairs may lie closer than the size of the lower one."""
    rng = np.random.default_rng(seed)
    sizes = [int(size) for size in rng.integers(1, 12, items)]
    first = rng.integers(0, 5, items)
    last = first + rng.integers(0, 4, items)
    gaps: list[dict[int, int]] = [{} for _ in range(items)]
    for i in range(items):
        for j in range(items):
            if i != j and first[i] <= last[j] and first[j] <= last[i]:
                close = overlaps and rng.random() < 0.4
                gaps[i][j] = int(rng.integers(0, sizes[i] + 1)) if close else sizes[i]
    moments = {frozenset(i for i in range(items) if first[i] <= t <= last[i]) for t in range(9)}
    return sizes, gaps, sorted(moments, key=sorted)


def optimum(sizes: list[int], gaps: list[dict[int, int]]) -> int:
    """Every order of the items from low to high, each as low as the ones before it allow."""
    best = sum(sizes)
    for order in permutations(range(len(sizes))):
        offsets: dict[int, int] = {}
        for i in order:
            offsets[i] = max((offsets[k] + gaps[k][i] for k in offsets if i in gaps[k]), default=0)
        best = min(best, max(offsets[i] + sizes[i] for i in order))
    return best


def assert_valid(sizes: list[int], gaps: list[dict[int, int]], offsets: tuple[int, ...], height: int) -> None:
    assert min(offsets) >= 0
    assert height == max(offset + size for offset, size in zip(offsets, sizes, strict=True))
    for i, above in enumerate(gaps):
        for j, gap in above.items():
            assert offsets[j] - offsets[i] >= gap or offsets[i] - offsets[j] >= gaps[j][i], (i, j)


@pytest.mark.parametrize("overlaps", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_optimum_equals_brute_force(seed: int, overlaps: bool) -> None:
    sizes, gaps, together = instance(seed, 6, overlaps=overlaps)
    found = solve(sizes, gaps, together)
    assert_valid(sizes, gaps, found.offsets, found.height)
    assert found.height == optimum(sizes, gaps)
    assert found.bound == found.height


@pytest.mark.parametrize("seed", range(4))
def test_large_instances_are_valid_and_repeatable(seed: int) -> None:
    sizes, gaps, together = instance(seed, 14, overlaps=True)
    for quick in (True, False):
        found = solve(sizes, gaps, together, quick=quick)
        assert_valid(sizes, gaps, found.offsets, found.height)
        assert found.bound <= found.height
        assert found == solve(sizes, gaps, together, quick=quick)


@pytest.mark.parametrize("seed", range(20))
def test_exact_search_alone_finds_the_optimum(seed: int) -> None:
    """Without the heuristics' start, so that the tree is really walked."""
    sizes, gaps, together = instance(seed, 6, overlaps=True)
    search = _Search(sizes, gaps, together, sum(sizes) + 1, [])
    assert search.run()
    assert_valid(sizes, gaps, tuple(search.offsets), search.height)
    assert search.height == optimum(sizes, gaps)


def test_a_chain_of_thousands() -> None:
    """Above its bound, where the exact search would be in place; but that is as deep as there are items."""
    rng = np.random.default_rng(4)
    sizes = [16 * int(size) for size in rng.integers(1, 41, 1500)]
    last = np.arange(1500) + rng.integers(1, 6, 1500)
    near = [[j for j in range(max(0, i - 5), i) if last[j] >= i] for i in range(1500)]
    gaps: list[dict[int, int]] = [{} for _ in sizes]
    for i, others in enumerate(near):
        for j in others:
            gaps[i][j], gaps[j][i] = sizes[i], sizes[j]
    found = solve(sizes, gaps, [frozenset([i, *others]) for i, others in enumerate(near)])
    assert_valid(sizes, gaps, found.offsets, found.height)
    assert found.bound < found.height < 1.2 * found.bound
