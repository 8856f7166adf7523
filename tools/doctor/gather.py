"""Finds the facts out: the only part of the doctor that looks at anything. It changes nothing."""

import errno
import os
import platform
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import urllib3

from tools.doctor.facts import Compute, Facts, File, Machine, Place, Port
from tools.serve import check
from wire import processors
from wire import settings as wire_settings
from wire.settings import Settings
from workers import assets
from workers.assets import AssetUnavailable

ROOT = Path(__file__).parents[2]

#: Longest time that PyTorch may take to load and to find its devices.
_COMPUTE_S = 120.0


def facts(environ: Mapping[str, str]) -> Facts:
    """Everything there is to know."""
    try:
        settings, settings_error = wire_settings.load(environ), None
        check(settings)
    except ValueError as error:
        settings, settings_error = Settings(), str(error)
        environ = {
            name: value for name, value in environ.items() if not name.startswith(wire_settings.PREFIX)
        }
    assets_dir = assets.directory(settings)
    return Facts(
        machine=_machine(),
        compute=_compute(environ),
        environ=environ,
        settings=settings,
        settings_error=settings_error,
        runtime=place(Path(settings.runtime_dir)),
        store=place(settings.store_directory()),
        store_server_error=store_server_error(settings),
        assets=place(assets_dir),
        files=tuple(_files(assets_dir)),
        port=port(settings.host, settings.port),
    )


def _machine() -> Machine:
    memory_bytes, available_bytes = _memory()
    open_files, most_open_files = map(_unlimited, resource.getrlimit(resource.RLIMIT_NOFILE))
    shared = Path("/dev/shm")
    return Machine(
        python=sys.version_info[:2],
        cpus=processors.usable(),
        memory_bytes=memory_bytes,
        available_bytes=available_bytes,
        shared_memory_free_bytes=shutil.disk_usage(shared).free if shared.is_dir() else None,
        open_files=open_files,
        most_open_files=most_open_files,
        wsl="microsoft" in platform.release().lower(),
        today=datetime.now(UTC).date(),
        newest_source=_newest(ROOT / "workers"),
    )


def _memory() -> tuple[int, int]:
    """Bytes there are, and bytes that are available: of the machine, or of the group we are confined to."""
    kilobytes = {
        name: int(value.split()[0])
        for name, _, value in (line.partition(":") for line in Path("/proc/meminfo").read_text().splitlines())
    }
    total, available = kilobytes["MemTotal"] * 1024, kilobytes["MemAvailable"] * 1024
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (text := limit.read_text().strip()) != "max":
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        return min(total, int(text)), min(available, int(text) - used)
    return total, available


def _unlimited(limit: int) -> int:
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


def _newest(folder: Path) -> date:
    return datetime.fromtimestamp(max(file.stat().st_mtime for file in folder.rglob("*.py")), UTC).date()


def _compute(environ: Mapping[str, str]) -> Compute:
    """What PyTorch says, asked in a process of its own."""
    try:
        asked = subprocess.run(
            [sys.executable, "-m", "tools.doctor.devices"],
            cwd=ROOT,
            env=dict(environ),
            capture_output=True,
            text=True,
            timeout=_COMPUTE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Compute(problem=f"PyTorch did not answer within {_COMPUTE_S:g} s")
    if "No module named 'torch'" in asked.stderr:
        return Compute()
    try:
        return msgspec.json.decode(asked.stdout, type=Compute)
    except msgspec.DecodeError:
        last = (asked.stderr.strip().splitlines() or ["PyTorch said nothing"])[-1]
        return Compute(problem=last)


def store_server_error(settings: Settings) -> str | None:
    """Why sessions cannot be kept on the server that is set, if one is."""
    if not settings.store_url:
        return None
    try:
        from workers.redis_link import Link, StoreUnavailable  # its library is not there where nobody asked
    except ModuleNotFoundError as missing:
        return f"the library {missing.name} is not installed"
    try:
        link = Link(settings.store_url, timeout_s=settings.store_timeout_s)
    except ValueError as error:
        return str(error)
    with closing(link):
        try:
            link.ask(lambda client: client.ping())
        except StoreUnavailable as reason:
            return f"{link.name}: {reason}"
    return None


def place(path: Path) -> Place:
    """What is known of the directory `path`, or of the nearest one above it that is there."""
    there = next(each for each in (path, *path.absolute().parents) if _is_there(each))
    return Place(
        path=path,
        filesystem=filesystem(there.resolve(), Path("/proc/self/mountinfo").read_text()),
        free_bytes=shutil.disk_usage(there).free,
        writable=there.is_dir() and os.access(there, os.W_OK | os.X_OK),
        foreign=there == path and there.stat().st_uid != os.getuid(),
    )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that cannot be, or below a directory that we may not look into
        return False


def filesystem(path: Path, mounts: str) -> str:
    """The type of file system that `path` is on, by the lines of /proc/self/mountinfo (proc(5))."""
    found, longest = "unknown", -1
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        mounted = before.split()[4].encode().decode("unicode_escape")
        # Later lines cover earlier ones that are mounted at the same point.
        if path.is_relative_to(mounted) and len(mounted) >= longest:
            found, longest = after.split()[0], len(mounted)
    return found


def _files(assets_dir: Path) -> Iterator[File]:
    for asset in assets.ASSETS:
        try:
            state = assets.state(asset, assets_dir)
        except (OSError, AssetUnavailable) as error:
            yield File(asset.name, asset.group, "corrupt", str(error))
        else:
            yield File(asset.name, asset.group, state, asset.remedy())


def port(host: str, number: int) -> Port:
    """Who has the edge's port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the edge's own server does: connections of a former one that still linger are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return "forbidden"
            return "ours" if _answers_as_we_do(host, number) else "taken"
    return "free"


def _answers_as_we_do(host: str, number: int) -> bool:
    """Whether `/health` there is the service's."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    here = f"[{here}]" if ":" in here else here
    try:
        with urllib3.PoolManager() as http:
            answer = http.request("GET", f"http://{here}:{number}/health", timeout=3.0, retries=False)
            health = msgspec.json.decode(answer.data)
    except (urllib3.exceptions.HTTPError, msgspec.DecodeError):
        return False
    return isinstance(health, dict) and {"status", "models", "workers"} <= health.keys()
