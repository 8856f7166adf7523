"""Reading other people's pickles without running them.

A pickle is a program: whoever unpickles it calls what it names. Here a name is looked up in the
caller's list and nowhere else: nothing is imported, whatever is not listed is refused by name,
and classes whose behaviour is not wanted become `Inert`, which keeps their content and does nothing.
Arrays of numpy stay records of bytes until `array` has checked them. Memory stays in proportion to
the file. Time does not: a file made to keep us busy can do so.
"""

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

#: Enough for a checkpoint with the states of its optimizer. Each operation may make an object of
#: some hundred bytes, whatever its own length.
MAX_OPERATIONS = 1_000_000

_NUMBERS = re.compile(r"[biufc](1|2|4|8|16)")


class PickleRefused(pickle.UnpicklingError):
    """The pickle names something that is not allowed, is too large, or is broken."""


class Inert:
    """Stands for an object whose class is not wanted: it keeps what it was made of, and does nothing.

    args: what its class or function was called with; state: what was to become of its attributes.
    """

    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: object, **_named: object) -> "Inert":
        """Whatever the pickle calls it with."""
        self = super().__new__(cls)
        self.args = args
        self.state = None
        return self

    def __init__(self, *args: object, **named: object) -> None: ...

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __setitem__(self, key: object, value: object) -> None:
        """A subclass of dict is filled in this way."""

    def append(self, item: object) -> None:
        """A subclass of list is filled in this way, item by item."""

    def extend(self, items: object) -> None:
        """... or many at a time."""

    def add(self, item: object) -> None:
        """A subclass of set is filled in this way."""


class PickledArray(Inert):
    """A numpy array as `ndarray.__reduce__` writes it; `array` reads it."""


class PickledBuffer(Inert):
    """A numpy array as pickle protocol 5 writes it; `array` reads it."""


class PickledDtype(Inert):
    """The type of an array's numbers, by its code and byte order."""


def _object_of(kind: object, *_base_and_state: object) -> Inert:
    """An object of a class written in Python, as the oldest protocols make it."""
    if not (isinstance(kind, type) and issubclass(kind, Inert)):
        raise PickleRefused(f"{kind!r} is not a class that an object can be made of")
    return kind()


def _latin1(text: str, _encoding: str) -> str:
    """Bytes in a pickle that Python 2 can read are text, a character for each byte; `array` takes it so."""
    return text


def _no_bytes(*content: object) -> str:
    """Stands for `bytes`, which older protocols call without arguments for an empty array."""
    if content:
        raise PickleRefused("the pickle calls bytes with arguments")
    return ""


#: What every pickle of arrays may name, under the paths that its writers knew.
_ARRAYS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): Inert,
    ("numpy", "dtype"): PickledDtype,
    ("_codecs", "encode"): _latin1,
    ("__builtin__", "bytes"): _no_bytes,
    ("builtins", "bytes"): _no_bytes,
    ("copy_reg", "_reconstructor"): _object_of,
    ("copyreg", "_reconstructor"): _object_of,
    ("__builtin__", "object"): Inert,
    ("builtins", "object"): Inert,
}
for _core in ("numpy.core", "numpy._core"):
    _ARRAYS[f"{_core}.multiarray", "_reconstruct"] = PickledArray
    _ARRAYS[f"{_core}.multiarray", "scalar"] = Inert
    _ARRAYS[f"{_core}.numeric", "_frombuffer"] = PickledBuffer


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a pickle may name beside numpy's arrays.

    names: (module, name) -> what stands for it, a subclass of `Inert` or a function that is safe with any
    arguments. inert_packages: all that they and the modules below them define becomes `Inert`.
    """

    names: Mapping[tuple[str, str], Callable[..., Any]] = field(default_factory=dict)
    inert_packages: frozenset[str] = frozenset()

    def find(self, module: str, name: str) -> Callable[..., Any]:
        """What stands for `name` of `module`. Raises `PickleRefused` where nothing does."""
        found = self.names.get((module, name)) or _ARRAYS.get((module, name))
        if found is None and not self.inert_packages.isdisjoint(_packages(module)):
            found = Inert
        if found is None:
            raise PickleRefused(f"the pickle names {module}.{name}, which is not allowed in it")
        is_inert = isinstance(found, type) and issubclass(found, Inert)
        return found if is_inert else _Called(f"{module}.{name}", found)


class _Called:
    """A function that a pickle may call, and do nothing else to: its attributes cannot be set from there."""

    __slots__ = ("_function", "_name")

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self._name = name
        self._function = function

    def __call__(self, *args: object, **named: object) -> object:
        return self._function(*args, **named)

    def __setstate__(self, state: object) -> None:
        raise PickleRefused(f"the pickle sets attributes of {self._name}")


class Unpickler(pickle.Unpickler):
    """Unpickles one object from a seekable file, within what is allowed."""

    def __init__(self, file: BinaryIO, *, allowed: Allowed, max_bytes: int, encoding: str = "latin1") -> None:
        """Look through the pickle before anything is made of it.

        Raises `PickleRefused` where it is longer than `max_bytes`, broken, or asks for more memory
        than it could fill. `encoding`: of the text in a pickle of Python 2.
        """
        _survey(file, max_bytes)
        super().__init__(file, encoding=encoding)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        """What stands for the named class or function; nothing is imported for it."""
        return self._allowed.find(module, name)

    def load(self) -> Any:
        """The object. Raises `PickleRefused`, `OSError`."""
        try:
            return super().load()
        except (PickleRefused, OSError):
            raise
        except Exception as error:  # a broken pickle can fail in any way
            raise PickleRefused(f"the pickle cannot be read: {error}") from error


def load(path: Path, *, allowed: Allowed, max_bytes: int, encoding: str = "latin1") -> Any:
    """The object in a pickle file. Raises `PickleRefused`, naming the file, and `OSError`."""
    try:
        with path.open("rb") as file:
            return Unpickler(file, allowed=allowed, max_bytes=max_bytes, encoding=encoding).load()
    except PickleRefused as refused:
        raise PickleRefused(f"{path}: {refused}") from refused


def array(record: object) -> npt.NDArray[Any]:
    """The numbers of a pickled array. Raises `PickleRefused` where it is none, or not of plain numbers."""
    if isinstance(record, PickledArray) and isinstance(record.state, tuple) and len(record.state) == 5:
        _version, shape, dtype, by_column, content = record.state
    elif isinstance(record, PickledBuffer) and len(record.args) == 4:
        content, dtype, shape, order = record.args
        by_column = order == "F"
    else:
        raise PickleRefused(f"a {type(record).__name__} where an array of numbers is expected")
    if isinstance(content, str):
        content = content.encode("latin1")
    if not isinstance(content, bytes | bytearray):
        raise PickleRefused("an array of Python objects where one of numbers is expected")
    kind = _number_type(dtype)
    if not (isinstance(shape, tuple) and all(isinstance(size, int) and size >= 0 for size in shape)):
        raise PickleRefused(f"an array of shape {shape!r}")
    if math.prod(shape) * kind.itemsize != len(content):
        raise PickleRefused(f"an array of shape {shape} and type {kind} that has {len(content)} bytes")
    return np.frombuffer(content, kind).reshape(shape, order="F" if by_column else "C")


def _number_type(record: object) -> np.dtype[Any]:
    code = record.args[0] if isinstance(record, PickledDtype) and record.args else None
    if not (isinstance(code, str) and _NUMBERS.fullmatch(code)):
        raise PickleRefused(f"an array of type {code!r} where one of numbers is expected")
    state = record.state  # type: ignore[attr-defined]  # a PickledDtype, or it would have been refused
    order = state[1] if isinstance(state, tuple) and len(state) > 1 else "|"
    if order not in ("<", ">", "|"):
        raise PickleRefused(f"an array of byte order {order!r}")
    try:
        return np.dtype(order + code)
    except TypeError:
        raise PickleRefused(f"an array of type {code!r} where one of numbers is expected") from None


def _packages(module: str) -> list[str]:
    """`a.b.c` -> a, a.b, a.b.c."""
    parts = module.split(".")
    return [".".join(parts[: length + 1]) for length in range(len(parts))]


def _survey(file: BinaryIO, max_bytes: int) -> None:
    """Walk over the pickle at the file's position and come back, making nothing of it.

    Unpickling makes room for what a length or a memo index announces before it looks whether
    the file has it; this finds such a file first.
    """
    start = file.tell()
    size = file.seek(0, io.SEEK_END) - start
    file.seek(start)
    if size > max_bytes:
        raise PickleRefused(f"the pickle has {size} bytes, more than the {max_bytes} that are allowed")
    operation = 0
    try:
        for operation, (code, argument, _position) in enumerate(pickletools.genops(file), start=1):
            if operation > MAX_OPERATIONS:
                raise PickleRefused(f"the pickle has more than {MAX_OPERATIONS} operations")
            if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > operation:
                raise PickleRefused(f"the pickle wants room for {argument} objects, and has made {operation}")
    except PickleRefused:
        raise
    except Exception as error:  # a broken pickle can fail in any way
        raise PickleRefused(f"the pickle is broken after {operation} operations: {error}") from error
    file.seek(start)
