"""What the doctor has found out; nothing here is judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from wire.settings import Settings

#: Who listens on the edge's port: nobody, a running service of this kind, or something else.
Port = Literal["free", "ours", "taken", "forbidden"]


@dataclass(frozen=True, slots=True)
class Machine:
    """The computer, as much of it as this process may use."""

    python: tuple[int, int]
    cpus: int
    memory_bytes: int
    available_bytes: int
    shared_memory_free_bytes: int | None  # None: there is no /dev/shm
    open_files: int  # that a program may open, as things are
    most_open_files: int  # to which anybody may raise that
    wsl: bool
    today: date
    newest_source: date


@dataclass(frozen=True, slots=True)
class Compute:
    """What HMR2 would run on. `torch` is PyTorch's version, None where it is not installed.

    `device` is cpu or cuda; `described` also names the precision.
    """

    torch: str | None = None
    device: str | None = None
    described: str = ""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A directory, or the nearest one above it that is there already."""

    path: Path
    filesystem: str
    free_bytes: int
    writable: bool
    foreign: bool  # it is there and belongs to another user


@dataclass(frozen=True, slots=True)
class File:
    """A model file: `state` as `workers.assets` has it, `remedy` what to do where it is not ready."""

    name: str
    group: str
    state: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything. With a wrong setting `settings` are the defaults."""

    machine: Machine
    compute: Compute
    environ: Mapping[str, str]
    settings: Settings
    settings_error: str | None
    runtime: Place
    store: Place
    store_server_error: str | None  # of the server of sessions; None: it answers, or there is to be none
    assets: Place
    files: tuple[File, ...]
    port: Port
