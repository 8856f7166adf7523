"""The directories, the port and the model files."""

from collections.abc import Iterator
from typing import Final

from tools.doctor.facts import Facts, File, Place
from tools.doctor.finding import Finding, Verdict, gb
from tools.serve import LONGEST_RUNTIME_DIR
from wire.settings import Settings
from workers import assets

#: File systems on which locks, sockets or memory maps do not work as on a disk of one's own.
NETWORK_FILESYSTEMS: Final = frozenset(
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "drvfs",
        "v9fs",
        "ceph",
        "lustre",
        "glusterfs",
        "afs",
        "vboxsf",
    ]
)


def runtime_dir(facts: Facts) -> Iterator[Finding]:
    """Sockets, pid files and locks."""
    place, name = facts.runtime, "POSE_RUNTIME_DIR"
    if len(str(facts.settings.runtime_dir).encode()) > LONGEST_RUNTIME_DIR:
        found = (
            f"{facts.settings.runtime_dir} is longer than the {LONGEST_RUNTIME_DIR} bytes that sockets allow"
        )
        yield Finding("runtime dir", "fail", found, f"set {name} to a shorter one")
    else:
        yield _place("runtime dir", place, name, network="fail", needed_bytes=2**20)


def store(facts: Facts) -> Iterator[Finding]:
    """Stored sessions: on a server, or in memory-mapped files, which must not lie on a network."""
    if facts.settings.store_url:
        yield _store_server(facts)
        return
    needed = facts.settings.workers * facts.settings.store_max_bytes
    yield _place("store dir", facts.store, "POSE_STORE_DIR", network="fail", needed_bytes=needed)


def _store_server(facts: Facts) -> Finding:
    if error := facts.store_server_error:
        remedy = "docs/operations.md, Sessions on a server; its library comes with pip install '.[remote]'"
        return Finding("store server", "fail", error, remedy)
    return Finding("store server", "ok", "it answers")


def assets_dir(facts: Facts) -> Iterator[Finding]:
    """Model files: read at the start only."""
    yield _place("assets dir", facts.assets, "POSE_ASSETS_DIR", network="ok", needed_bytes=2**20)


def _place(subject: str, place: Place, variable: str, *, network: Verdict, needed_bytes: int) -> Finding:
    where = f"{place.path} ({place.filesystem}, {gb(place.free_bytes)} free)"
    elsewhere = f"set {variable} to a directory of your own on a local disk"
    if place.foreign:
        return Finding(subject, "fail", f"{where} belongs to another user", elsewhere)
    if not place.writable:
        return Finding(subject, "fail", f"{where} cannot be written", elsewhere)
    on_network = place.filesystem in NETWORK_FILESYSTEMS or place.filesystem.startswith("fuse.")
    if on_network and network != "ok":
        return Finding(subject, network, f"{where}: locks and sockets do not work there", elsewhere)
    if place.free_bytes < needed_bytes:
        return Finding(
            subject, "warn", f"{where}, up to {gb(needed_bytes)} are used", "make room, or " + elsewhere
        )
    return Finding(subject, "ok", where)


def port(facts: Facts) -> Iterator[Finding]:
    """Where the edge listens."""
    address = f"{facts.settings.host}:{facts.settings.port}"
    match facts.port:
        case "free":
            yield Finding("port", "ok", f"{address} is free")
        case "ours":
            yield Finding("port", "ok", f"{address}: the service is running")
        case "taken":
            yield Finding(
                "port", "fail", f"{address} is taken by another program", "end it, or set POSE_PORT"
            )
        case "forbidden":
            yield Finding("port", "fail", f"{address} cannot be bound", "set POSE_HOST and POSE_PORT")


def files(facts: Facts) -> Iterator[Finding]:
    """The model files that the settings call for, group by group."""
    groups = assets.needed_groups(facts.settings)
    wanted = [file for file in facts.files if file.group in groups and not _spared(file, facts)]
    for group in dict.fromkeys(file.group for file in wanted):
        wrong = [file for file in wanted if file.group == group and file.state != "ready"]
        unusable = any(file.state != "unproven" for file in wrong)
        if wrong:
            yield Finding(
                f"files: {group}",
                "fail" if unusable and not _optional(group, facts.settings) else "warn",
                "; ".join(_by_state(wrong)),
                "; ".join(dict.fromkeys(file.remedy for file in wrong)),
            )
        else:
            yield Finding(f"files: {group}", "ok", "all there, and right")


def _optional(group: str, settings: Settings) -> bool:
    """Whether HMR2 runs without this group, and answers, but not as 4D-Humans and PHALP do."""
    return group == "phalp" and settings.tracker != "phalp"


def _spared(file: File, facts: Facts) -> bool:
    """Whether `file` belongs to the detector that is not used."""
    used = facts.settings.detector
    if used == "auto":
        used = "maskrcnn" if facts.compute.device == "cuda" else "fasterrcnn"
    return file.group == "detectors" and not file.name.startswith(used)


def _by_state(files: list[File]) -> Iterator[str]:
    for state in dict.fromkeys(file.state for file in files):
        yield f"{state}: {', '.join(file.name for file in files if file.state == state)}"
