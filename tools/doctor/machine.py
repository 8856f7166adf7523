"""The computer, and how the environment and the settings use it."""

from collections.abc import Iterator
from typing import Final

from tools.doctor.facts import Facts
from tools.doctor.finding import Finding, gb
from wire.environment import ALLOCATOR, LINEAR_ALGEBRA

#: Memory of one worker while its networks load, and of the other programs together.
BLAZEPOSE_BYTES: Final = 300 * 2**20
HMR2_BYTES: Final = 3584 * 2**20
HMR2_FLOAT32_BYTES: Final = 5 * 2**30
REST_BYTES: Final = 150 * 2**20

#: supervisord.conf's `minfds`: to so many supervisord raises the limit of all programs, or it does not start.
SUPERVISED_OPEN_FILES: Final = 4096


def python(facts: Facts) -> Iterator[Finding]:
    """The interpreter."""
    version = ".".join(map(str, facts.machine.python))
    if facts.machine.python < (3, 11):
        yield Finding(
            "python", "fail", f"{version} is too old", "install Python 3.11 or later; make PYTHON=python3.11"
        )
    else:
        yield Finding("python", "ok", version)


def processors(facts: Facts) -> Iterator[Finding]:
    """Threads of all workers against processors."""
    asked = facts.settings.workers * facts.settings.threads
    found = f"{facts.machine.cpus} for {facts.settings.workers} workers of {facts.settings.threads} threads"
    if asked > 2 * facts.machine.cpus and facts.compute.device != "cuda":
        yield Finding(
            "processors",
            "warn",
            f"{found}: they take them from each other",
            f"set POSE_WORKERS and POSE_THREADS to make {facts.machine.cpus} together",
        )
    else:
        yield Finding("processors", "ok", found)


def memory(facts: Facts) -> Iterator[Finding]:
    """Memory for all workers."""
    settings, machine = facts.settings, facts.machine
    needed = REST_BYTES + settings.workers * _worker_bytes(facts)
    found = (
        f"{gb(machine.available_bytes)} of {gb(machine.memory_bytes)} available, about {gb(needed)} needed"
    )
    wsl = " or give WSL more (memory= in .wslconfig)" if machine.wsl else ""
    remedy = f"set POSE_WORKERS=1{wsl}" if settings.workers > 1 else f"close other programs{wsl}"
    if needed > machine.memory_bytes:
        yield Finding("memory", "fail", found, remedy)
    elif needed > machine.available_bytes and facts.port != "ours":
        yield Finding("memory", "warn", found, remedy)
    else:
        yield Finding("memory", "ok", found)


def _worker_bytes(facts: Facts) -> int:
    if facts.settings.observer == "blazepose":
        return BLAZEPOSE_BYTES
    return HMR2_FLOAT32_BYTES if "float32" in facts.compute.described else HMR2_BYTES


def shared_memory(facts: Facts) -> Iterator[Finding]:
    """/dev/shm, which OpenMP and CUDA use between threads and processes."""
    free = facts.machine.shared_memory_free_bytes
    if free is None:
        yield Finding("/dev/shm", "warn", "missing", "mount a tmpfs there; in a container: --shm-size=256m")
    elif free < 64 * 2**20:
        yield Finding("/dev/shm", "warn", f"{gb(free)} free", "free some; in a container: --shm-size=256m")
    else:
        yield Finding("/dev/shm", "ok", f"{gb(free)} free")


def open_files(facts: Facts) -> Iterator[Finding]:
    """Descriptors: connections of the edge, sockets between programs, files of the store."""
    limit = max(facts.machine.open_files, SUPERVISED_OPEN_FILES)
    needed = 4 * (facts.settings.http_threads + facts.settings.workers) + 128
    if facts.machine.most_open_files < SUPERVISED_OPEN_FILES:
        yield Finding(
            "open files",
            "fail",
            f"ulimit -Hn is {facts.machine.most_open_files}, supervisord needs {SUPERVISED_OPEN_FILES}",
            "raise it as root: ulimit -Hn 4096; systemd: LimitNOFILE=; a container: --ulimit nofile=4096",
        )
    elif limit < needed:
        yield Finding(
            "open files", "fail", f"ulimit -n is {limit}, {needed} are needed", f"ulimit -n {4 * needed}"
        )
    else:
        yield Finding("open files", "ok", f"ulimit -n is {limit}")


def clock(facts: Facts) -> Iterator[Finding]:
    """The wall clock: a wrong one forgets sessions too early or never, and no certificate is valid."""
    today, newest = facts.machine.today, facts.machine.newest_source
    if today < newest:
        yield Finding(
            "clock",
            "warn",
            f"it says {today}, and these sources are of {newest}",
            "set the clock; under WSL after sleep: sudo hwclock -s",
        )
    else:
        yield Finding("clock", "ok", str(today))


def devices(facts: Facts) -> Iterator[Finding]:
    """What HMR2 would run on. The embedded observer needs no PyTorch."""
    compute, needed = facts.compute, facts.settings.observer == "hmr2"
    if compute.problem:
        yield Finding("devices", "fail" if needed else "warn", compute.problem, "see docs/hmr2.md")
    elif compute.torch is None:
        remedy = '.venv/bin/pip install --editable ".[hmr2]"'
        found = "PyTorch is not installed"
        yield Finding("devices", "fail" if needed else "ok", found, remedy if needed else "")
    elif needed and compute.device == "cpu":
        yield Finding(
            "devices",
            "warn",
            f"PyTorch {compute.torch}: {compute.described}",
            "HMR2 takes about half a second a person on two cores; nvidia-smi tells whether a GPU is visible",
        )
    else:
        yield Finding("devices", "ok", f"PyTorch {compute.torch}: {compute.described}")


def settings(facts: Facts) -> Iterator[Finding]:
    """The POSE_ variables, as every program reads them."""
    if facts.settings_error:
        yield Finding(
            "settings", "fail", facts.settings_error, "correct it or unset it; README.md lists them all"
        )
        return
    given = sorted(name for name in facts.environ if name.startswith("POSE_"))
    yield Finding("settings", "ok", ", ".join(given) or "defaults")


def allocator(facts: Facts) -> Iterator[Finding]:
    """Variables that the launcher would set, had not somebody else: theirs win."""
    others = [
        f"{name}={facts.environ[name]}"
        for name, ours in {**ALLOCATOR, **LINEAR_ALGEBRA}.items()
        if facts.environ.get(name, ours) != ours
    ]
    if preloaded := facts.environ.get("LD_PRELOAD"):
        others.append(f"LD_PRELOAD={preloaded}")
    if others:
        yield Finding(
            "allocator",
            "warn",
            f"{', '.join(others)} instead of what was measured to be best",
            "unset them; docs/performance.md says what they cost",
        )
    else:
        yield Finding("allocator", "ok", "as measured to be best")
