"""The doctor: what it says of a machine on which all is well, and of each thing that can be wrong."""

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

import msgspec
import pytest

from tests.workers.redis_server import redis_server
from tools.doctor import checks, gather, report
from tools.doctor.facts import Compute, Facts, File, Machine, Place
from tools.doctor.finding import Finding
from tools.doctor.machine import SUPERVISED_OPEN_FILES
from wire.settings import Settings

GB = 10**9
PLACE = Place(Path("/srv/pose"), filesystem="ext4", free_bytes=100 * GB, writable=True, foreign=False)
HEALTHY = Facts(
    machine=Machine(
        python=(3, 11),
        cpus=4,
        memory_bytes=32 * GB,
        available_bytes=30 * GB,
        shared_memory_free_bytes=GB,
        open_files=1024,
        most_open_files=4096,
        wsl=False,
        today=date(2026, 12, 1),
        newest_source=date(2026, 11, 1),
    ),
    compute=Compute(),
    environ={},
    settings=Settings(threads=2),
    settings_error=None,
    runtime=PLACE,
    store=PLACE,
    store_server_error=None,
    assets=PLACE,
    files=(
        File("pose_detection.tflite", "blazepose", "ready", "fetch blazepose"),
        File("hmr2.ckpt", "hmr2", "missing", "fetch hmr2"),
        File("SMPL_NEUTRAL.pkl", "hmr2", "missing", "register"),
        File("pose_predictor.pth", "phalp", "missing", "fetch phalp"),
        File("maskrcnn_v2.pth", "detectors", "missing", "fetch detectors"),
        File("fasterrcnn_320.pth", "detectors", "missing", "fetch detectors"),
    ),
    port="free",
)


def machine(**changes: object) -> Facts:
    return replace(HEALTHY, machine=replace(HEALTHY.machine, **changes))


def settings(**changes: object) -> Facts:
    return replace(HEALTHY, settings=msgspec.structs.replace(HEALTHY.settings, **changes))


def place(name: str, **changes: object) -> Facts:
    return replace(HEALTHY, **{name: replace(PLACE, **changes)})


def states(**of: str) -> Facts:
    files = tuple(replace(file, state=of.get(file.group, file.state)) for file in HEALTHY.files)
    return replace(HEALTHY, files=files)


def hmr2(facts: Facts = HEALTHY, **compute: object) -> Facts:
    """HMR2 on a GPU, with its files in place, and as `compute` says."""
    return replace(
        facts,
        settings=msgspec.structs.replace(facts.settings, observer="hmr2"),
        compute=replace(Compute(torch="2.13.0", device="cuda", described="cuda:0, bfloat16"), **compute),
        files=tuple(replace(file, state="ready") for file in facts.files),
    )


def findings(facts: Facts, subject: str) -> list[Finding]:
    return [finding for finding in checks.examine(facts) if finding.subject == subject]


def test_where_all_is_well_nothing_is_warned_of() -> None:
    assert {finding.verdict for finding in checks.examine(HEALTHY)} == {"ok"}
    assert {finding.verdict for finding in checks.examine(hmr2())} == {"ok"}
    assert len(checks.examine(HEALTHY)) == len({finding.subject for finding in checks.examine(HEALTHY)})


#: What is wrong -> the facts, and what is said of them.
WRONG = {
    "an old Python": (machine(python=(3, 10)), "python", "fail", "too old"),
    "too many threads": (settings(workers=8), "processors", "warn", "from each other"),
    "too little memory": (machine(memory_bytes=GB // 2), "memory", "fail", "POSE_WORKERS=1"),
    "little memory left": (machine(available_bytes=GB // 2), "memory", "warn", "0.5 GB of"),
    "little memory in WSL": (machine(available_bytes=GB // 2, wsl=True), "memory", "warn", ".wslconfig"),
    "two HMR2 in 6 GB": (hmr2(machine(memory_bytes=6 * GB)), "memory", "fail", "7.7 GB"),
    "two precise HMR2 in 8 GB": (
        hmr2(machine(memory_bytes=8 * GB), described="cuda:0, float32"),
        "memory",
        "fail",
        "10.9 GB",
    ),
    "no /dev/shm": (machine(shared_memory_free_bytes=None), "/dev/shm", "warn", "--shm-size"),
    "full /dev/shm": (machine(shared_memory_free_bytes=9), "/dev/shm", "warn", "free some"),
    "few open files": (machine(most_open_files=1024), "open files", "fail", "supervisord needs 4096"),
    "many threads": (settings(http_threads=1000), "open files", "fail", "ulimit -n 16"),
    "a clock that is behind": (machine(today=date(2020, 1, 1)), "clock", "warn", "hwclock"),
    "HMR2 without PyTorch": (hmr2(torch=None), "devices", "fail", "[hmr2]"),
    "HMR2 without its device": (hmr2(problem="no such device"), "devices", "fail", "no such"),
    "HMR2 on a CPU": (hmr2(device="cpu"), "devices", "warn", "nvidia-smi"),
    "a misspelt setting": (
        replace(HEALTHY, settings_error="unknown setting POSE_WORKRES"),
        "settings",
        "fail",
        "POSE_WORKRES",
    ),
    "threads set by somebody else": (
        replace(HEALTHY, environ={"OMP_NUM_THREADS": "64"}),
        "allocator",
        "warn",
        "OMP_NUM_THREADS=64",
    ),
    "another allocator": (
        replace(HEALTHY, environ={"LD_PRELOAD": "jemalloc.so"}),
        "allocator",
        "warn",
        "jemalloc",
    ),
    "not ours": (place("runtime", foreign=True), "runtime dir", "fail", "another user"),
    "read-only": (place("runtime", writable=False), "runtime dir", "fail", "be written"),
    "on a Windows drive": (place("runtime", filesystem="9p"), "runtime dir", "fail", "sockets"),
    "on NFS": (place("store", filesystem="nfs4"), "store dir", "fail", "POSE_STORE_DIR"),
    "on sshfs": (place("store", filesystem="fuse.sshfs"), "store dir", "fail", "locks"),
    "a full disk": (place("store", free_bytes=9), "store dir", "warn", "make room"),
    "no server of sessions": (
        replace(
            settings(store_url="redis://cache"), store_server_error="redis://cache: it cannot be reached"
        ),
        "store server",
        "fail",
        "operations.md",
    ),
    "assets read-only": (place("assets", writable=False), "assets dir", "fail", "POSE_ASSETS"),
    "long for a socket": (settings(runtime_dir="/" + "x" * 100), "runtime dir", "fail", "shorter"),
    "a taken port": (replace(HEALTHY, port="taken"), "port", "fail", "another program"),
    "an impossible address": (replace(HEALTHY, port="forbidden"), "port", "fail", "POSE_HOST"),
    "a missing file": (states(blazepose="missing"), "files: blazepose", "fail", "fetch blaze"),
    "a damaged file": (states(blazepose="corrupt"), "files: blazepose", "fail", "corrupt: pose"),
    "nobody vouches": (states(blazepose="unproven"), "files: blazepose", "warn", "unproven"),
    "no HMR2": (replace(hmr2(), files=HEALTHY.files), "files: hmr2", "fail", "fetch hmr2; register"),
    "HMR2 alone": (replace(hmr2(), files=HEALTHY.files), "files: phalp", "warn", "phalp"),
    "no PHALP, which is asked for": (
        replace(hmr2(settings(tracker="phalp")), files=HEALTHY.files),
        "files: phalp",
        "fail",
        "fetch phalp",
    ),
    "another port": (settings(port=8080), "backend: address", "warn", "calls 5000"),
    "out of reach of Windows": (
        replace(settings(host="127.0.0.1"), machine=machine(wsl=True).machine),
        "backend: address",
        "warn",
        "Windows",
    ),
    "few threads": (settings(http_threads=4), "backend: queue", "fail", "HTTP_THREADS=4"),
    "short": (settings(max_session_frames=4), "backend: queue", "fail", "SESSION_FRAMES=4"),
    "too late": (settings(request_timeout_s=150.0), "backend: patience", "fail", "120 s"),
    "a long limit": (settings(frame_limit_s=110.0), "backend: patience", "warn", "stuck"),
    "too slow": (hmr2(machine(cpus=1), device="cpu"), "backend: speed", "warn", "2.1 s a frame"),
    "other keypoints": (settings(keypoints="smpl24"), "backend: quality", "warn", "COCO"),
    "a long wait": (settings(gap_wait_s=20.0), "backend: order", "warn", "never comes"),
}


@pytest.mark.parametrize(("facts", "subject", "verdict", "words"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_named_with_what_to_do(facts: Facts, subject: str, verdict: str, words: str) -> None:
    (finding,) = findings(facts, subject)

    assert finding.verdict == verdict
    assert words in f"{finding.found} {finding.remedy}"
    assert finding.remedy


@pytest.mark.parametrize(
    ("detector", "device", "missing"),
    [
        ("auto", "cuda", "maskrcnn_v2.pth"),
        ("auto", "cpu", "fasterrcnn_320.pth"),
        ("fasterrcnn", "cuda", "fasterrcnn_320.pth"),
        ("blazepose", "cuda", "pose_detection.tflite"),
    ],
)
def test_only_the_detector_that_is_used_is_missed(detector: str, device: str, missing: str) -> None:
    facts = hmr2(device=device)
    facts = replace(
        facts,
        settings=msgspec.structs.replace(facts.settings, detector=detector),
        files=tuple(replace(file, state="missing") for file in facts.files),
    )

    told = [each for each in checks.examine(facts) if each.subject.startswith("files")]

    group = "blazepose" if detector == "blazepose" else "detectors"
    assert {each.subject for each in told} == {"files: hmr2", f"files: {group}", "files: phalp"}
    (finding,) = [each for each in told if each.subject == f"files: {group}"]
    assert (finding.verdict, finding.found) == ("fail", f"missing: {missing}")


def test_supervisord_needs_as_many_open_files_as_the_doctor_believes() -> None:
    configuration = (gather.ROOT / "supervisord.conf").read_text()
    assert f"\nminfds = {SUPERVISED_OPEN_FILES} " in configuration


def test_a_running_service_explains_a_port_in_use_and_memory_in_use() -> None:
    running = replace(machine(available_bytes=GB // 2), port="ours")
    assert {finding.verdict for finding in checks.examine(running)} == {"ok"}


def test_the_report_says_what_to_do_below_what_is_wrong() -> None:
    found = [Finding("port", "fail", "taken", "end it"), Finding("clock", "ok", "right")]

    port, remedy, clock = report.lines(found)

    assert port.split() == ["fail", "port", "taken"]
    assert remedy.split(maxsplit=1) == ["->", "end it"]
    assert clock.split() == ["ok", "clock", "right"]
    assert not report.healthy(found)
    assert report.healthy(found[1:])


# -- gathering


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:26 / /mnt/c rw,noatime - 9p C:\\\\ rw,dirsync
31 22 0:27 / /mnt/my\\040share rw - cifs //server/share rw
32 22 0:28 / /dev/shm rw,nosuid,nodev - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "filesystem"),
    [
        ("/home/me/everyframe", "ext4"),
        ("/mnt/c/Users/me", "9p"),
        ("/mnt/cache", "ext4"),
        ("/mnt/my share/store", "cifs"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(path: str, filesystem: str) -> None:
    assert gather.filesystem(Path(path), MOUNTS) == filesystem


def test_a_directory_to_come_is_judged_by_the_one_it_will_be_made_in(tmp_path: Path) -> None:
    found = gather.place(tmp_path / "not" / "yet")

    assert found.path == tmp_path / "not" / "yet"
    assert (found.writable, found.foreign) == (True, False)
    assert found.free_bytes > 0
    assert not (tmp_path / "not").exists()


def test_a_file_where_a_directory_should_be_cannot_be_written_into(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not gather.place(tmp_path / "file" / "store").writable


def test_a_directory_whose_name_cannot_be_is_judged_by_the_one_above_it(tmp_path: Path) -> None:
    assert gather.place(tmp_path / ("x" * 300)).writable


def test_with_a_server_of_sessions_no_directory_is_judged() -> None:
    elsewhere = replace(settings(store_url="redis://cache"), store=replace(PLACE, filesystem="nfs4"))
    assert not findings(elsewhere, "store dir")
    assert [finding.verdict for finding in findings(elsewhere, "store server")] == ["ok"]


def test_the_server_of_sessions_is_asked(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        remote = Settings(store_url=server.url)
        assert gather.store_server_error(remote) is None
    error = gather.store_server_error(remote)
    assert error is not None
    assert "cannot be reached" in error
    assert gather.store_server_error(Settings()) is None


def test_pytorch_that_says_nothing_in_time_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "_COMPUTE_S", 0.001)
    facts = gather.facts(os.environ)
    assert "did not answer" in (facts.compute.problem or "")


@contextmanager
def answering(health: bytes, host: str = "127.0.0.1") -> Iterator[int]:
    """A server at `host` whose /health says `health`; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(health)))
            self.end_headers()
            self.wfile.write(health)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    class Server(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    with Server((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def test_the_port_of_a_running_service_is_ours_and_any_other_is_taken() -> None:
    with answering(b'{"status": "ready", "models": {}, "workers": 2}') as port:
        assert gather.port("127.0.0.1", port) == "ours"
    with answering(b"<html>") as port:
        assert gather.port("127.0.0.1", port) == "taken"


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_a_running_service_is_known_by_its_ipv6_address_too() -> None:
    with answering(b'{"status": "ready", "models": {}, "workers": 2}', "::1") as port:
        assert gather.port("::1", port) == "ours"


def test_a_port_is_free_until_somebody_listens_without_a_word() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        listener.close()
        assert gather.port("127.0.0.1", port) == "free"


def test_an_address_that_is_not_this_machines_cannot_be_bound() -> None:
    assert gather.port("192.0.2.1", 5000) == "forbidden"


def test_the_command_names_a_misspelt_setting_and_fails(tmp_path: Path) -> None:
    environment = {**os.environ, "POSE_WORKRES": "3", "POSE_ASSETS_DIR": str(tmp_path)}

    ended = subprocess.run(
        [sys.executable, "-m", "tools.doctor", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )

    assert ended.returncode == 1, ended.stderr
    told = json.loads(ended.stdout)
    assert told["healthy"] is False
    (finding,) = [finding for finding in told["findings"] if finding["subject"] == "settings"]
    assert "POSE_WORKRES" in finding["found"]
