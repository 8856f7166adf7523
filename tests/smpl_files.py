"""Model files as the official downloads have them: pickles that Python 2 wrote, with chumpy and scipy inside.

Neither those classes nor Python 2 are here, so the pickles are written opcode by opcode, from
what `cPickle.dumps(..., 2)` gives there.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from body.model import OPEN_BODY, Body
from body.official import POINTS
from tests.fixtures import rules


@dataclass
class Object:
    """An object of a class that is not here: what was its `__dict__`."""

    module: str
    name: str
    state: dict[str, Any]


class Opcodes(bytes):
    """A part of a pickle, as it is."""


def chumpy_array(values: Any) -> Object:
    """What holds a model's shape directions."""
    state = {"x": values, "_dirty_vars": set(), "_itr": None, "_depends_on_deps": {}}
    return Object("chumpy.ch", "Ch", state)


def chumpy_slice(values: np.ndarray, places: np.ndarray) -> Object:
    """Some of `values`, by their place in the flattened array, as models with fewer shapes have them."""
    state = {"a": chumpy_array(values), "idxs": places.ravel(), "preferred_shape": places.shape}
    return Object("chumpy.reordering", "Select", state | {"_dirty_vars": {"a"}})


def sparse(matrix: np.ndarray) -> Object:
    """A matrix of scipy by columns, under the path of its day."""
    columns, rows = np.nonzero(matrix.T)
    starts = np.searchsorted(columns, np.arange(matrix.shape[1] + 1)).astype(np.int32)
    state = {"_shape": matrix.shape, "maxprint": 50, "data": matrix[rows, columns], "indptr": starts}
    return Object("scipy.sparse.csc", "csc_matrix", state | {"indices": rows.astype(np.int32)})


def smpl_model(variant: str) -> dict[str, Any]:
    """The model of the rules, with the classes that the official file has."""
    model = rules.smpl(variant)
    return model | {
        "shapedirs": chumpy_array(model["shapedirs"]),
        "J_regressor": sparse(model["J_regressor"]),
        "J": Object("chumpy.ch", "MatVecMult", {"mtx": sparse(model["J_regressor"])}),
        "kintree_table": model["kintree_table"].astype(np.uint32),
    }


def smpl_body(variant: str) -> Body:
    """The same model as a body."""
    parts = rules.smpl(variant)
    return Body(
        v_template=parts["v_template"],
        shapedirs=parts["shapedirs"],
        posedirs=parts["posedirs"].reshape(-1, parts["posedirs"].shape[-1]).T,
        j_regressor=parts["J_regressor"],
        weights=parts["weights"],
        faces=parts["f"],
        parents=np.array(rules.SMPL_PARENTS),
        points=POINTS,
    )


def open_body_model(*, origin_m: tuple[float, float, float]) -> dict[str, Any]:
    """The open body as an official model whose origin is elsewhere and whose surface bends with the pose."""
    with np.load(OPEN_BODY) as asset:
        arrays = dict(asset)
    count = len(arrays["v_template"])
    regressor, weights = np.zeros((24, count)), np.zeros((count, 24))
    entries = arrays["regressor_joints"], arrays["regressor_vertices"]
    np.add.at(regressor, entries, arrays["regressor_weights"])
    np.add.at(weights, (np.arange(count)[:, None], arrays["weight_joints"]), arrays["weights"])
    return {
        "v_template": arrays["v_template"] - np.array(origin_m),
        "shapedirs": chumpy_array(arrays["shapedirs"].astype(np.float64)),
        "posedirs": 0.001 * rules.normal("a", "bend", (count, 3, 207)),
        "J_regressor": sparse(regressor / regressor.sum(axis=1, keepdims=True)),
        "weights": weights,
        "kintree_table": np.array([rules.SMPL_PARENTS, range(24)]).astype(np.uint32),
        "f": arrays["faces"].astype(np.uint32),
    }


def write(path: Path, value: Any) -> Path:
    """Pickle `value` to `path` as Python 2 would."""
    path.write_bytes(python2_pickle(value))
    return path


def python2_pickle(value: Any) -> bytes:
    """Protocol 2 of Python 2, whose text is bytes."""
    return b"\x80\x02" + _written(value) + b"."


def _written(value: Any) -> bytes:
    match value:
        case Opcodes():
            return value
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            return b"J" + struct.pack("<i", value)
        case str() | bytes():
            text = value.encode() if isinstance(value, str) else value
            return b"T" + struct.pack("<i", len(text)) + text
        case tuple():
            return b"(" + b"".join(map(_written, value)) + b"t"
        case list():
            return b"](" + b"".join(map(_written, value)) + b"e"
        case dict():
            return b"}(" + b"".join(_written(key) + _written(item) for key, item in value.items()) + b"u"
        case set():
            return _call("__builtin__", "set", sorted(value))
        case np.ndarray():
            return _array(value)
        case Object(module, name, state):
            return _name(module, name) + b")\x81" + _written(state) + b"b"
    raise TypeError(f"no such thing in a model: {value!r}")


def _array(values: np.ndarray) -> bytes:
    by_column = values.flags.f_contiguous and not values.flags.c_contiguous
    made = _call("numpy.core.multiarray", "_reconstruct", Opcodes(_name("numpy", "ndarray")), (0,), b"b")
    kind = _call("numpy", "dtype", values.dtype.str[1:], 0, 1)
    kind += _written((3, values.dtype.str[0], None, None, None, -1, -1, 0)) + b"b"
    content = values.tobytes("F" if by_column else "C")
    state = [_written(1), _written(values.shape), kind, _written(by_column), _written(content)]
    return made + b"(" + b"".join(state) + b"tb"


def _call(module: str, name: str, *arguments: Any) -> bytes:
    return _name(module, name) + b"(" + b"".join(map(_written, arguments)) + b"tR"


def _name(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()
