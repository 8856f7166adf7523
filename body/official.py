"""The SMPL file that its users register for, as a `Body`.

The file is a pickle of Python 2 with objects of chumpy and scipy in it. It is read as data, once, and kept
beside itself as plain arrays in an `.npz`, which counts as long as the file is the one that it was made of.
"""

import hashlib
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

import unpickle
from body.model import Body
from unpickle import Allowed, Inert, PickleRefused
from wire.errors import ModelNotLoaded
from wire.skeleton import SMPL_PARENTS

Array = npt.NDArray[np.float32]
Numbers = npt.NDArray[Any]

log = logging.getLogger(__name__)

#: The largest of the official files, with 300 shape directions, has some 250 MB.
MAX_BYTES = 512 << 20

#: A change of what the converted file holds changes this, and every body is converted anew.
VERSION = 1

VERTICES: Final = 6890
SHAPES: Final = 10
_SHAPE_OF: Final = {
    "v_template": (VERTICES, 3),
    "shapedirs": (VERTICES, 3, SHAPES),
    "posedirs": (VERTICES, 3, 207),
    "J_regressor": (24, VERTICES),
    "weights": (VERTICES, 24),
    "kintree_table": (2, 24),
    "f": (13776, 3),
}

#: What of it the converted file holds.
_KEPT: Final = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "faces")

#: Vertices that stand for points of the face, the feet and the fingertips (smplx, `vertex_ids.py`).
POINTS: Final = {
    "nose": 332,
    "right_eye": 6260,
    "left_eye": 2800,
    "right_ear": 4071,
    "left_ear": 583,
    "left_big_toe": 3216,
    "left_small_toe": 3226,
    "left_heel": 3387,
    "right_big_toe": 6617,
    "right_small_toe": 6624,
    "right_heel": 6787,
    "left_thumb": 2746,
    "left_index": 2319,
    "left_middle": 2445,
    "left_ring": 2556,
    "left_pinky": 2673,
    "right_thumb": 6191,
    "right_index": 5782,
    "right_middle": 5905,
    "right_ring": 6016,
    "right_pinky": 6133,
}


class BodyFileRefused(ModelNotLoaded):
    """The body's file is missing, or is not an SMPL model."""


class _Ch(Inert):
    """chumpy's array: it holds the numbers, or another one of its kind, as `x`."""


class _Select(Inert):
    """chumpy's slice of an array `a`: its flat places `idxs`, in `preferred_shape`."""


class _Csc(Inert):
    """scipy's matrix by columns: `data` in the rows `indices`, a column from each of `indptr` to the next."""


_ALLOWED = Allowed(
    names={
        ("chumpy.ch", "Ch"): _Ch,
        ("chumpy.reordering", "Select"): _Select,
        ("__builtin__", "set"): Inert,  # chumpy's notes on what has changed
        ("builtins", "set"): Inert,
        ("scipy.sparse.csc", "csc_matrix"): _Csc,
        ("scipy.sparse._csc", "csc_matrix"): _Csc,
    },
    inert_packages=frozenset({"chumpy", "scipy.sparse"}),
)


def open_body(path: Path) -> Body:
    """The body in the official file at `path`. Raises `BodyFileRefused`, naming the file."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            arrays = _converted(path, digest) or _convert(path, file, digest)
    except FileNotFoundError as error:
        raise BodyFileRefused(
            f"{path} is missing: register at https://smplify.is.tue.mpg.de and put the neutral model there"
        ) from error
    except OSError as error:
        raise BodyFileRefused(f"{path} cannot be read: {error}") from error
    return Body(
        v_template=arrays["v_template"],
        shapedirs=arrays["shapedirs"],
        posedirs=arrays["posedirs"].reshape(-1, 207).T,
        j_regressor=arrays["J_regressor"],
        weights=arrays["weights"],
        faces=arrays["faces"],
        parents=np.array(SMPL_PARENTS),
        points=POINTS,
    )


def converted_path(path: Path) -> Path:
    """Where the arrays of the file at `path` are kept."""
    return path.with_suffix(".npz")


def read_pickle(file: BinaryIO) -> dict[str, Numbers]:
    """SMPL's arrays from its pickle, real numbers as float32, checked in shape and value.

    The names are SMPL's, but for `faces`, which have the name and form of the open body's. Raises
    `PickleRefused`.
    """
    model = unpickle.Unpickler(file, allowed=_ALLOWED, max_bytes=MAX_BYTES).load()
    if not isinstance(model, dict):
        raise PickleRefused(f"the pickle holds a {type(model).__name__}, not a model")
    if missing := sorted(_SHAPE_OF.keys() - model.keys()):
        raise PickleRefused(f"the model has no {', '.join(missing)}")
    arrays = {name: _numbers(name, model[name]) for name in _SHAPE_OF}
    arrays["shapedirs"] = arrays["shapedirs"][..., :SHAPES]
    for name, shape in _SHAPE_OF.items():
        if arrays[name].shape != shape:
            raise PickleRefused(f"{name} has shape {arrays[name].shape}, and SMPL's has {shape}")
    if arrays["f"].min() < 0 or arrays["f"].max() >= VERTICES:
        raise PickleRefused("a face has a corner that is no vertex")
    if tuple(arrays.pop("kintree_table")[0, 1:].tolist()) != SMPL_PARENTS[1:]:
        raise PickleRefused("the joints hang together in another way than SMPL's")
    return arrays | {"faces": arrays.pop("f").astype(np.uint16)}


def _numbers(name: str, record: object) -> Numbers:
    """An array of the model in float32, or int64 where it counts. Raises `PickleRefused`."""
    try:
        values = _dense(record)
    except PickleRefused as refused:
        raise PickleRefused(f"{name}: {refused}") from refused
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    with np.errstate(over="ignore"):
        numbers = np.ascontiguousarray(values.real, np.float32)
    if values.dtype.kind != "f" or not np.isfinite(numbers).all():
        raise PickleRefused(f"{name} has values that are no real numbers")
    return numbers


def _dense(record: object, *, depth: int = 0) -> Numbers:
    """The numbers of an array as numpy, scipy or chumpy hold it; chumpy nests them."""
    if depth > 4:
        raise PickleRefused("an array inside arrays without end")
    if not isinstance(record, _Ch | _Select | _Csc):
        return unpickle.array(record)
    state = record.state if isinstance(record.state, dict) else {}
    try:
        if isinstance(record, _Ch):
            return _dense(state["x"], depth=depth + 1)
        if isinstance(record, _Select):
            chosen = _dense(state["a"], depth=depth + 1).reshape(-1)[unpickle.array(state["idxs"])]
            return chosen.reshape(state.get("preferred_shape", chosen.shape))
        return _from_columns(state)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise PickleRefused(f"a broken {type(record).__name__.lstrip('_')}: {error!r}") from error


def _from_columns(state: dict[str, object]) -> Numbers:
    """A sparse matrix by columns, dense; only as large as SMPL's regressor."""
    shape = state["_shape"] if "_shape" in state else state["shape"]
    if shape != _SHAPE_OF["J_regressor"]:
        raise PickleRefused(f"a sparse matrix of shape {shape!r}")
    starts, rows = unpickle.array(state["indptr"]), unpickle.array(state["indices"])
    sizes = np.diff(starts)
    if sizes.min() < 0 or sizes.sum() != len(rows):
        raise PickleRefused("a sparse matrix whose columns do not hold its entries")
    matrix = np.zeros(shape)
    np.add.at(matrix, (rows, np.repeat(np.arange(len(sizes)), sizes)), unpickle.array(state["data"]))
    return matrix


def _converted(path: Path, digest: str) -> dict[str, Numbers] | None:
    """The arrays that were kept of the file with this digest; None where there are none, or broken ones."""
    try:
        with converted_path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as kept:
            if kept["source_sha256"] == digest and kept["version"] == VERSION:
                return {name: kept[name] for name in _KEPT}
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged archive can fail in any way, and is made again
        log.warning("body kept=%s cannot be read: %r", converted_path(path), error)
    return None


def _convert(path: Path, file: BinaryIO, digest: str) -> dict[str, Numbers]:
    """Read the pickle, and keep its arrays. Where that fails, every start reads it anew."""
    file.seek(0)
    try:
        arrays = read_pickle(file)
    except PickleRefused as refused:
        raise BodyFileRefused(f"{path} is not an SMPL model: {refused}") from refused
    try:
        _keep(path, arrays, digest)
    except OSError as error:
        log.warning("body file=%s not kept as arrays: %s", path, error)
    return arrays


def _keep(source: Path, arrays: dict[str, Numbers], digest: str) -> None:
    """Write the arrays, whole or not at all: several workers may start at once."""
    kept = converted_path(source)
    handle, name = tempfile.mkstemp(prefix=kept.name, suffix=".tmp", dir=kept.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            content: dict[str, Any] = {"source_sha256": digest, "version": VERSION, **arrays}
            np.savez(file, **content)
        shutil.copymode(source, name)
        Path(name).replace(kept)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
