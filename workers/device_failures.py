"""What becomes of work where a device is short of memory, or lost."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import torch

log = logging.getLogger(__name__)

Batch = TypeVar("Batch", torch.Tensor, Sequence[Any])
Result = TypeVar("Result")

#: Exit status of a worker whose GPU answers no more: only a new process gets another context.
EXIT_DEVICE_LOST: Final = 4


def in_halves(run: Callable[[Batch], Result], batch: Batch) -> list[Result]:
    """What `run` makes of `batch`, in order: at once, or of parts of it where memory is short.

    A part is halved until it fits. Raises `torch.OutOfMemoryError` where one row alone does not.
    """
    try:
        return [run(batch)]
    except torch.OutOfMemoryError:
        if len(batch) < 2:
            raise
    # Only here, where the error is gone, are the tensors that it kept alive gone too.
    middle = len(batch) // 2
    return in_halves(run, batch[:middle]) + in_halves(run, batch[middle:])


@contextmanager
def ending_where_lost() -> Iterator[None]:
    """End the process where the GPU answers no more inside: only a new one can go on."""
    try:
        yield
    except RuntimeError as error:
        if not is_lost(error):
            raise
        log.critical("the GPU answers this process no more, so it ends: %s", error)
        raise SystemExit(EXIT_DEVICE_LOST) from error


def is_lost(error: BaseException) -> bool:
    """Whether `error` says that the GPU's context is broken, so that every later call will fail as well."""
    return isinstance(error, torch.AcceleratorError)  # out of memory is another class, and passes
