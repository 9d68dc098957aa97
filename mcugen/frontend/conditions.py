"""If with a condition known at compile time becomes the branch it takes, as ONNX Runtime does it."""

from __future__ import annotations

import onnx
from onnx import AttributeProto, GraphProto, NodeProto, helper, numpy_helper

from ..ir import unique
from .fold import fold_shapes, read_names


def take_branches(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which each such If is replaced by its branch; one whose condition depends on data stays."""
    while any(node.op_type == "If" for node in model.graph.node):
        folded = fold_shapes(model)  # conditions are made of shapes, often
        constants = {i.name: i for i in folded.graph.initializer}
        constants |= {n.output[0]: n.attribute[0].t for n in folded.graph.node if n.op_type == "Constant"}
        nodes = list(folded.graph.node)
        known = [node for node in nodes if node.op_type == "If" and node.input[0] in constants]
        if not known:
            return model
        taken = read_names(folded.graph) | {name for node in nodes for name in (node.name, *node.output)}
        del folded.graph.node[:]
        for node in nodes:
            if node in known:
                condition = bool(numpy_helper.to_array(constants[node.input[0]]).all())
                folded.graph.node.extend(_branch(node, condition, folded.graph, taken))
            else:
                folded.graph.node.append(node)
        model = folded
    return model


def _branch(node: NodeProto, condition: bool, graph: GraphProto, taken: set[str]) -> list[NodeProto]:
    """The nodes of one branch under names of their own, and the If's outputs; its constants go into `graph`."""
    wanted = "then_branch" if condition else "else_branch"
    branch = next(attribute.g for attribute in node.attribute if attribute.name == wanted)
    names: dict[str, str] = {}
    made = (name for inner in branch.node for name in inner.output if name)
    for name in (*(i.name for i in branch.initializer), *made):
        names[name] = unique(f"{node.output[0]}/{name}", taken)
        taken.add(names[name])
    for tensor in branch.initializer:
        graph.initializer.add().CopyFrom(tensor)
        graph.initializer[-1].name = names[tensor.name]
    nodes = [_renamed(inner, names) for inner in branch.node]
    for inner in nodes:
        inner.name = unique(f"{node.name}/{inner.name}", taken) if inner.name else ""
        taken.add(inner.name)
    for output, result in zip(node.output, branch.output, strict=True):
        if output:
            nodes.append(helper.make_node("Identity", [names.get(result.name, result.name)], [output]))
    return nodes


def _renamed(node: NodeProto, names: dict[str, str]) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(name, name) for name in node.input]
    copy.output[:] = [names.get(name, name) for name in node.output]
    for attribute in copy.attribute:
        if attribute.type not in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
            continue
        for graph in (attribute.g, *attribute.graphs):
            inner = [_renamed(n, names) for n in graph.node]
            del graph.node[:]
            graph.node.extend(inner)
            for output in graph.output:
                output.name = names.get(output.name, output.name)
    return copy
