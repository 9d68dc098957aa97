"""The order of the steps against every other order, on random graphs small enough for that."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

import numpy as np
import pytest

from mcugen.ir import Graph, Node, TensorType, Value
from mcugen.plan import schedule as module
from mcugen.plan.allocate import allocate
from mcugen.plan.schedule import _best_order, schedule
from mcugen.step import COPY, Step


def random_graph(seed: int, count: int, *, chains: int = 0) -> tuple[Graph, list[Step]]:
    """Steps that read one or two tensors made before; with chains, that many chains side by side from one input."""
    rng = np.random.default_rng(seed)
    names, steps, ends = ["in"], [], ["in"] * chains
    for index in range(count):
        if chains:
            inputs = (ends[index % chains],)
            ends[index % chains] = f"t{index}"
        else:
            inputs = tuple(dict.fromkeys(names[k] for k in rng.integers(max(0, len(names) - 4), len(names), 2)))
        name = f"t{index}"
        scratch = int(rng.integers(0, 40))
        steps.append(Step(f"s{index}", "kernel", (), inputs, (name,), COPY, (), scratch_bytes=scratch))
        names.append(name)
    read = {name for step in steps for name in step.inputs}
    outputs = tuple(name for name in names if name not in read)
    sizes = {name: int(rng.integers(1, 100)) for name in names}
    values = {name: Value(name, TensorType("int8", (sizes[name],))) for name in names}
    nodes = tuple(Node("op", step.inputs, step.outputs) for step in steps)
    return Graph("g", ("in",), outputs, MappingProxyType(values), nodes), steps


def orders(steps: list[Step], made: frozenset[str] = frozenset(("in",))) -> Iterator[list[int]]:
    left = [index for index, step in enumerate(steps) if step.outputs[0] not in made]
    if not left:
        yield []
    for index in left:
        if made.issuperset(steps[index].inputs):
            for rest in orders(steps, made | set(steps[index].outputs)):
                yield [index, *rest]


def peak(graph: Graph, steps: list[Step], order: list[int]) -> int:
    """The most bytes that any step needs: what was made and is still read, what it makes, its scratch."""
    last = {name: at for at, index in enumerate(order) for name in steps[index].inputs}
    last |= dict.fromkeys(graph.outputs, len(order))
    born = {"in": -1} | {steps[index].outputs[0]: at for at, index in enumerate(order)}
    return max(
        sum(graph.type(name).bytes for name in born if born[name] <= at <= last.get(name, born[name]))
        + steps[index].scratch_bytes
        for at, index in enumerate(order)
    )


@pytest.mark.parametrize("seed", range(30))
def test_no_order_has_a_smaller_peak(seed: int) -> None:
    graph, steps = random_graph(seed, 7)
    found = _best_order(graph, steps)
    assert found is not None and sorted(found) == list(range(7))
    assert peak(graph, steps, found) == min(peak(graph, steps, order) for order in orders(steps))


@pytest.mark.parametrize("seed", range(4))
def test_many_orders_are_searched_in_part(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never worse than the model's own order, always the same, and the optimum where the part holds it."""
    graph, steps = random_graph(seed, 12, chains=4)
    exact = _best_order(graph, steps)
    monkeypatch.setattr(module, "_STATES", 40)
    assert _best_order(graph, steps) is None
    found = schedule(graph, steps)
    assert found == schedule(graph, steps)
    arenas = [allocate(graph, order, {}, quick=True).arena_bytes for order in (found, steps)]
    assert arenas[0] <= arenas[1]
    wide = _best_order(graph, steps, 10_000)
    assert exact is not None and wide is not None
    assert peak(graph, steps, wide) == peak(graph, steps, exact)
