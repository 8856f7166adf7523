"""The tensors in a published checkpoint: read as data, left in the file until somebody looks at them.

The files of 4D-Humans and PHALP are those of Lightning: beside the weights they hold the pickled state
of a training, written with packages that are not installed here. Tensors are kept, all else is inert,
and nothing is run (`unpickle/__init__.py`). `torch.load` is not used: it takes some archives for programs.
"""

import io
import mmap
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import torch

from unpickle import Allowed, Inert, PickleRefused, Unpickler
from wire.errors import ModelNotLoaded

#: Largest pickle in a checkpoint; its numbers lie beside it. With an optimizer's state ours would be 2 MB.
MAX_PICKLE_BYTES: Final = 64 * 2**20

#: Whose objects a training leaves behind, all of them inert here.
_TRAINING: Final = frozenset(
    {
        "argparse",
        "hmr2",
        "hydra",
        "lightning",
        "lightning_fabric",
        "omegaconf",
        "pathlib",
        "phalp",
        "pytorch_lightning",
        "torch",
        "torchmetrics",
        "typing",
        "yacs",
    }
)

_TYPES: Final = ("bool", "bytearray", "complex", "dict", "float", "frozenset", "int", "list", "object", "set")

#: What stands for torch's classes of stretches of numbers in the file -> what such numbers are.
_STORAGES: Final = {
    type(f"{name}Storage", (Inert,), {}): dtype
    for name, dtype in {
        "BFloat16": torch.bfloat16,
        "Bool": torch.bool,
        "Byte": torch.uint8,
        "Char": torch.int8,
        "Double": torch.float64,
        "Float": torch.float32,
        "Half": torch.float16,
        "Int": torch.int32,
        "Long": torch.int64,
        "Short": torch.int16,
    }.items()
}

#: The head of an entry in a zip file: its signature, and the lengths of its name and of what follows that.
_ENTRY: Final = struct.Struct("<4s22xHH")


class CheckpointRefused(ModelNotLoaded):
    """A checkpoint is not one, names what it may not name, or lacks or has other weights than it should."""


class Checkpoint:
    """The tensors of one entry of a checkpoint, mapped into memory: where Lightning has them, `state_dict`.

    What is looked at is read then. Another file may take this one's place meanwhile, but nobody may
    write to it. A tensor keeps the mapping alive.
    """

    def __init__(self, path: Path, *, entry: str = "state_dict") -> None:
        """Raises `CheckpointRefused`, naming the file."""
        self.path = path
        try:
            with path.open("rb") as file:
                self._mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
                content = _Archive(file, self._mapping).content()
        except OSError as error:
            raise CheckpointRefused(f"cannot read {path}: {error.strerror or error}") from error
        except (PickleRefused, RuntimeError, ValueError, zipfile.BadZipFile) as error:
            raise CheckpointRefused(f"{path} is no checkpoint that can be read: {error}") from error
        self.tensors = _tensors(path, content, entry)

    def forget(self) -> None:
        """Drop the pages that were read; who looks at a tensor again reads them again.

        Else the file counts as this process's memory beside what was made of it.
        """
        self._mapping.madvise(mmap.MADV_DONTNEED)


def fitting(name: str, weights: Mapping[str, torch.Tensor], shape: torch.Size, path: Path) -> torch.Tensor:
    """The weight called `name` in float32, of those of the file at `path`.

    Raises `CheckpointRefused` where it is missing, of another shape than the network's, or no weight.
    """
    weight = weights.get(name)
    if weight is None:
        raise CheckpointRefused(f"{path}: {name} is missing")
    if weight.shape != shape:
        raise CheckpointRefused(
            f"{path}: {name} has shape {tuple(weight.shape)}, the network's has {tuple(shape)}"
        )
    if not weight.is_floating_point():
        raise CheckpointRefused(f"{path}: {name} holds {weight.dtype}, which no weight is")
    return weight.float()


def _tensors(path: Path, content: object, entry: str) -> dict[str, torch.Tensor]:
    weights = content.get(entry) if isinstance(content, Mapping) else None
    if not isinstance(weights, Mapping):
        raise CheckpointRefused(f"{path} has no {entry}: it is not the checkpoint that was expected")
    for name, value in weights.items():
        if not (isinstance(name, str) and isinstance(value, torch.Tensor)):
            raise CheckpointRefused(f"{path}: {name!r} is no tensor")
    return dict(weights)


class _Archive:
    """The zip file that `torch.save` writes: a pickle, and the stretches of numbers that it points to."""

    def __init__(self, file: BinaryIO, mapping: mmap.mmap) -> None:
        self._mapping = mapping
        with zipfile.ZipFile(file) as archive:
            self._entries = {info.filename.partition("/")[2]: info for info in archive.infolist()}
            if "byteorder" in self._entries and archive.read(self._entries["byteorder"]) != b"little":
                raise ValueError("its numbers are big-endian")

    def content(self) -> object:
        """What was saved, its tensors over the mapping."""
        start, length = self._place("data.pkl")
        if length > MAX_PICKLE_BYTES:
            raise PickleRefused(f"the pickle has {length} bytes, more than the {MAX_PICKLE_BYTES} allowed")
        return _Reader(io.BytesIO(self._mapping[start : start + length]), self.numbers).load()

    def numbers(self, name: str, dtype: torch.dtype) -> torch.Tensor:
        """All numbers of the stretch `name` (N,), as they lie in the file."""
        start, length = self._place(f"data/{name}")
        count = length // dtype.itemsize
        if count == 0:
            return torch.empty(0, dtype=dtype)
        return torch.frombuffer(self._mapping, dtype=dtype, count=count, offset=start)

    def _place(self, name: str) -> tuple[int, int]:
        """Where in the file the bytes of an entry are: start, length."""
        if name not in self._entries:
            raise ValueError(f"it has no {name}")
        entry = self._entries[name]
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{name} is compressed")
        head = self._mapping[entry.header_offset : entry.header_offset + _ENTRY.size]
        if len(head) < _ENTRY.size:
            raise ValueError(f"{name} lies outside the file")
        signature, name_length, extra_length = _ENTRY.unpack(head)
        start = entry.header_offset + _ENTRY.size + name_length + extra_length
        if signature != b"PK\3\4" or start + entry.file_size > len(self._mapping):
            raise ValueError(f"{name} lies outside the file")
        return start, entry.file_size


class _Reader(Unpickler):
    """Reads the pickle; what it says of tensors becomes tensors over the archive's numbers."""

    def __init__(self, file: BinaryIO, numbers: Callable[[str, torch.dtype], torch.Tensor]) -> None:
        super().__init__(file, allowed=_ALLOWED, max_bytes=MAX_PICKLE_BYTES, encoding="utf-8")
        self._numbers = numbers

    def persistent_load(self, pid: Any) -> torch.Tensor:
        """A stretch of numbers: ("storage", kind, name, device, count). The device is of no interest."""
        match pid:
            case ("storage", type() as kind, str(name), str(), int(count)) if kind in _STORAGES:
                return self._numbers(name, _STORAGES[kind])[:count]
        raise PickleRefused(f"{pid!r} is no stretch of numbers")


def _tensor(numbers: object, offset: int, size: Any, stride: Any, *_grad_and_hooks: object) -> torch.Tensor:
    """A tensor over a stretch of numbers. torch refuses what would lie outside it."""
    if not isinstance(numbers, torch.Tensor):
        raise PickleRefused(f"a tensor over a {type(numbers).__name__}")
    return numbers.as_strided(size, stride, offset)


def _parameter(values: object, *_grad_and_hooks: object) -> object:
    return values


class _Entries(dict[Any, Any]):
    """A dictionary of a pickle, without the attributes that modules hang on theirs."""

    def __setstate__(self, state: object) -> None: ...


def _entries(*content: Any) -> _Entries:
    return _Entries(*content)


def _entries_by_default(*_factory: object) -> _Entries:
    return _Entries()


_ALLOWED: Final = Allowed(
    names={
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch._utils", "_rebuild_parameter"): _parameter,
        ("collections", "OrderedDict"): _entries,
        ("collections", "defaultdict"): _entries_by_default,
        **{("torch", kind.__name__): kind for kind in _STORAGES},
        **{(module, name): Inert for module in ("builtins", "__builtin__") for name in _TYPES},
    },
    inert_packages=_TRAINING,
)
