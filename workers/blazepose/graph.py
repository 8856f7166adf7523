"""Leave out of a TFLite graph what only serves outputs that nobody reads.

An interpreter runs every operator, asked for or not. Of the landmark network's time a third goes
into a segmentation mask; without it all other outputs are the same to the bit.
"""

from collections.abc import Collection

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

_FILE_IDENTIFIER = b"TFL3"


def pruned(model: bytes, *, outputs: Collection[int]) -> bytes:
    """`model`, the contents of a .tflite file, computing only its `outputs`, in the given order.

    Raises `ValueError` if it is not such a file, or has no such outputs.
    """
    if model[4:8] != _FILE_IDENTIFIER:
        raise ValueError("not a TFLite file")
    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    (graph,) = tree.subgraphs
    if max(outputs) >= len(graph.outputs):
        raise ValueError(f"the graph has {len(graph.outputs)} outputs")
    graph.outputs = [graph.outputs[index] for index in outputs]
    needed = set(graph.outputs)
    kept = []
    for operator in reversed(graph.operators):  # they stand in the order in which they run
        if needed.intersection(operator.outputs):
            needed.update(operator.inputs)
            kept.append(operator)
    graph.operators = kept[::-1]
    tree.signatureDefs = None  # they would still name the outputs that are gone
    builder = flatbuffers.Builder(len(model))
    builder.Finish(tree.Pack(builder), _FILE_IDENTIFIER)
    return bytes(builder.Output())
