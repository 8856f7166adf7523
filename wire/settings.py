"""Every setting of the service: read once from the environment, frozen, unknown names refused.

All programs read the same `POSE_` variables, so one class holds them all, and a
misspelt knob stops whichever program starts first. Each field's description is the
README's table; `tests/wire/test_settings.py` holds the two together.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import platformdirs
from msgspec import Meta, Struct

from wire import processors

PREFIX = "POSE_"

_HIGHEST_PORT = 65_535


def _default_runtime_dir() -> str:
    return f"{tempfile.gettempdir()}/everyframe-{os.getuid()}"


def _default_threads() -> int:
    return min(4, processors.usable())


Count = Annotated[int, Meta(gt=0)]
NotNegative = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(gt=0)]
Bytes = Annotated[int, Meta(gt=0)]


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units are in the names. Times are seconds, sizes bytes, lengths pixels."""

    # -- where things are
    host: Annotated[str, Meta(description="address the HTTP edge binds")] = "0.0.0.0"
    port: Annotated[
        int, Meta(ge=0, le=_HIGHEST_PORT, description="port of the HTTP edge; 0 takes a free one")
    ] = 5000
    admin_listen: Annotated[
        str,
        Meta(
            pattern=r"^(|.+:\d{1,5})$",
            description="address:port for `/metrics` and `/operator`, then only there; empty: with the rest",
        ),
    ] = ""
    runtime_dir: Annotated[str, Meta(description="sockets, pid files and locks; made with mode 0700")] = (
        msgspec.field(default_factory=_default_runtime_dir)
    )
    assets_dir: Annotated[str, Meta(description="model files; empty: the user's cache directory")] = ""
    frames_endpoint: Annotated[
        str, Meta(description="ZeroMQ endpoint for clients; empty: ipc in runtime_dir")
    ] = ""
    workers_endpoint: Annotated[
        str, Meta(description="ZeroMQ endpoint for workers; empty: ipc in runtime_dir")
    ] = ""
    brokers: Annotated[
        str,
        Meta(description="where clients meet the brokers, if there are several, comma between"),
    ] = ""
    worker_brokers: Annotated[
        str, Meta(description="where workers meet the same brokers, comma between, in the same order")
    ] = ""
    broker_number: Annotated[
        Annotated[int, Meta(ge=0, lt=32)] | None,
        Meta(description="which of them this broker is, from 0; unset: the one with its frames_endpoint"),
    ] = None
    frames_listen: Annotated[
        str, Meta(description="`tcp://ADDRESS:PORT` for clients elsewhere, comma between; encrypted")
    ] = ""
    workers_listen: Annotated[
        str, Meta(description="`tcp://ADDRESS:PORT` for workers elsewhere, comma between; encrypted")
    ] = ""

    store_dir: Annotated[
        str, Meta(description="stored sessions; empty: in runtime_dir, which a reboot may clear")
    ] = ""

    store_url: Annotated[
        str,
        Meta(
            pattern=r"^(|(redis|rediss|valkey|valkeys|unix)://.+)$",
            description="Valkey or Redis server for sessions, see docs/operations.md; empty: store_dir",
        ),
    ] = ""

    jobs_dir: Annotated[
        str, Meta(description="video jobs and their results; empty: in runtime_dir, which a reboot may clear")
    ] = ""
    video_root: Annotated[
        str, Meta(description="folder under which `video_path` may name a file; empty: none may")
    ] = ""

    # -- who may use it
    tokens_file: Annotated[
        str, Meta(description="hashes of bearer tokens, see docs/security.md; empty: everybody may")
    ] = ""
    token_frames_per_s: Annotated[
        float, Meta(ge=0, description="frames a second that one token may send; 0: no limit")
    ] = 0.0
    token_bytes_per_s: Annotated[
        int, Meta(ge=0, description="bytes a second that one token may send; 0: no limit")
    ] = 0
    token_sessions: Annotated[
        NotNegative, Meta(description="sessions that one token may use at a time; 0: no limit")
    ] = 0
    key_file: Annotated[
        str, Meta(description="secret key of this program for tcp, see docs/security.md; mode 0600")
    ] = ""
    broker_key_file: Annotated[
        str, Meta(description="public key of the broker, for whoever connects to it over tcp")
    ] = ""
    allowed_keys: Annotated[
        str, Meta(description="folder or file of the public keys that the broker lets in over tcp")
    ] = ""
    handshake_s: Annotated[
        Seconds, Meta(description="time in which a new connection must have shown its key")
    ] = 5.0
    listen_backlog: Annotated[Count, Meta(description="new connections that may wait for the broker")] = 256

    # -- the observer
    observer: Annotated[
        Literal["blazepose", "hmr2"], Meta(description="who sees people in a frame; hmr2: see docs/hmr2.md")
    ] = "blazepose"
    device: Annotated[
        str,
        Meta(
            pattern=r"^(auto|cpu|cuda(:\d+)?)$",
            description="what hmr2 runs on: auto, cpu, cuda or cuda:0; auto: GPUs in turn, else the CPU",
        ),
    ] = "auto"
    precision: Annotated[
        Literal["auto", "float32", "bfloat16", "float16", "int8"],
        Meta(description="of hmr2's matrices; auto: what the device is fastest with"),
    ] = "auto"
    batch_crops: Annotated[
        Count, Meta(description="people that hmr2 looks at together, if the device's memory allows it")
    ] = 8
    detector: Annotated[
        Literal["auto", "maskrcnn", "fasterrcnn", "blazepose"],
        Meta(description="who finds people for hmr2; auto: maskrcnn on a GPU, fasterrcnn on a CPU"),
    ] = "auto"
    detection_score: Annotated[
        float, Meta(ge=0, lt=1, description="whom the detector finds for hmr2 scores more than this")
    ] = 0.8
    expected_score: Annotated[
        float, Meta(ge=0, lt=1, description="... and where the tracker expects somebody, more than this")
    ] = 0.3
    min_person_width_px: Annotated[
        NotNegative | None,
        Meta(description="narrower people are passed over; unset: 50 with hmr2, as by PHALP, else 0"),
    ] = None
    min_person_height_px: Annotated[
        NotNegative | None,
        Meta(description="lower people are passed over; unset: 100 with hmr2, as by PHALP, else 0"),
    ] = None
    tracker: Annotated[
        Literal["auto", "embedded", "phalp"],
        Meta(description="who follows people; auto: phalp where hmr2 sees and PHALP's files are there"),
    ] = "auto"
    keypoints: Annotated[
        Literal["coco17", "smpl24"], Meta(description="which keypoints `keypoints` lists")
    ] = "coco17"
    workers: Annotated[int, Meta(gt=0, le=64, description="worker processes")] = 2
    threads: Annotated[Count, Meta(description="threads of the networks in one worker")] = msgspec.field(
        default_factory=_default_threads
    )
    max_people: Annotated[Count, Meta(description="people followed in one session")] = 8

    # -- bounds
    max_body_bytes: Annotated[Bytes, Meta(description="largest HTTP request body")] = 32 * 2**20
    max_image_pixels: Annotated[Count, Meta(description="largest picture, width x height")] = 40_000_000
    max_queue_frames: Annotated[Count, Meta(description="frames waiting in the broker, all sessions")] = 256
    max_queue_bytes: Annotated[Bytes, Meta(description="bytes waiting in the broker, all sessions")] = (
        256 * 2**20
    )
    max_sessions: Annotated[Count, Meta(description="sessions alive at a time")] = 1024
    max_session_frames: Annotated[Count, Meta(description="frames waiting in one session")] = 64
    worker_credits: Annotated[Count, Meta(description="frames a worker holds at a time")] = 4
    kept_answers: Annotated[
        int, Meta(ge=0, description="answers a worker keeps per session for repeated frames")
    ] = 16
    store_max_bytes: Annotated[
        int, Meta(ge=2**20, description="sessions and answers that one worker keeps on disk, at least 1 MiB")
    ] = 256 * 2**20
    edges: Annotated[
        int,
        Meta(
            gt=0, le=64, description="edge processes on one port; limits of threads and tokens hold for each"
        ),
    ] = 1
    http_threads: Annotated[Count, Meta(description="requests one edge serves at a time")] = 32
    max_lent_pictures: Annotated[
        int,
        Meta(ge=0, le=1024, description="pictures a program lends at a time to workers beside it; 0: none"),
    ] = 128
    jobs_at_once: Annotated[int, Meta(gt=0, le=16, description="videos worked on at a time")] = 1
    job_window_frames: Annotated[
        int, Meta(gt=0, le=64, description="frames of one video that may be under way at a time")
    ] = 4
    max_queued_jobs: Annotated[Count, Meta(description="videos waiting their turn")] = 100
    max_video_bytes: Annotated[Bytes, Meta(description="largest upload of a video")] = 2 * 2**30
    max_video_frames: Annotated[Count, Meta(description="frames of the longest video")] = 100_000
    jobs_max_bytes: Annotated[
        int, Meta(ge=2**20, description="uploads and results on disk, at least 1 MiB; the oldest results go")
    ] = 8 * 2**30

    # -- time
    request_timeout_s: Annotated[
        Seconds, Meta(description="longest wait for an answer, below the client's 120 s")
    ] = 110.0
    heartbeat_s: Annotated[Seconds, Meta(description="silence after which a peer says it is alive")] = 1.0
    worker_silence_s: Annotated[
        Seconds, Meta(description="silence after which the broker gives a worker up")
    ] = 5.0
    frame_limit_s: Annotated[
        Seconds, Meta(description="longest time a worker may take for a frame; it is ended then")
    ] = 30.0
    session_idle_s: Annotated[Seconds, Meta(description="quiet time after which a session is forgotten")] = (
        300.0
    )
    gap_wait_s: Annotated[
        Seconds, Meta(description="longest wait for a missing frame that may still be on its way")
    ] = 1.0
    drain_s: Annotated[Seconds, Meta(description="longest time a stopping program answers what it holds")] = (
        20.0
    )
    new_video_pause_s: Annotated[
        Seconds, Meta(description="pause after which a stream without a session id is a new video")
    ] = 30.0

    store_timeout_s: Annotated[
        Seconds, Meta(description="longest wait for the server of store_url; frames go on without it then")
    ] = 1.0
    job_kept_s: Annotated[
        Seconds, Meta(description="time for which the result of a finished video job is kept")
    ] = 86_400.0

    # -- the operator
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="least severe line that is logged")
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"], Meta(description="lines for people, or an object a line for programs")
    ] = "text"

    def admin_address(self) -> tuple[str, int] | None:
        """Where operators are listened to; None: where everybody is."""
        host, _, port = self.admin_listen.rpartition(":")
        return (host.strip("[]"), int(port)) if host else None

    def frames_address(self) -> str:
        """Where clients meet the broker."""
        return self.frames_endpoint or f"ipc://{self.runtime_dir}/frames.ipc"

    def workers_address(self) -> str:
        """Where workers meet the broker."""
        return self.workers_endpoint or f"ipc://{self.runtime_dir}/workers.ipc"

    def broker_addresses(self) -> list[str]:
        """Where clients meet the brokers: one, unless `brokers` names several."""
        return _listed(self.brokers) or [self.frames_address()]

    def worker_broker_addresses(self) -> list[str]:
        """Where workers meet the brokers, in the same order.

        Raises `ValueError` where they are not as many, or have no store that all workers share.
        """
        addresses = _listed(self.worker_brokers) or [self.workers_address()]
        if len(addresses) != len(self.broker_addresses()):
            raise ValueError("POSE_WORKER_BROKERS and POSE_BROKERS name the same brokers, in the same order")
        if len(addresses) > 1 and not self.store_url:
            raise ValueError("several POSE_BROKERS need POSE_STORE_URL, where sessions move between them")
        return addresses

    def broker_place(self) -> int:
        """Which of the brokers this one is, from 0. Raises `ValueError` where that is not known."""
        addresses = self.broker_addresses()
        if self.broker_number is not None and self.broker_number < len(addresses):
            return self.broker_number
        if self.broker_number is None and self.frames_address() in addresses:
            return addresses.index(self.frames_address())
        raise ValueError(f"POSE_BROKER_NUMBER: which of {len(addresses)} POSE_BROKERS is this one?")

    def body_file(self) -> Path:
        """Where workers that pose a body other than the open one put its triangles, for the edge."""
        return Path(self.runtime_dir) / "body.npz"

    def assets_directory(self) -> Path:
        """Where the model files are: `assets_dir`, or else the user's cache directory."""
        return Path(self.assets_dir or platformdirs.user_cache_dir("everyframe"))

    def store_directory(self) -> Path:
        """Where the workers keep their sessions."""
        return Path(self.store_dir or f"{self.runtime_dir}/store")

    def min_person_px(self) -> tuple[int, int]:
        """The least width and height of a person's box."""
        width, height = (50, 100) if self.observer == "hmr2" else (0, 0)
        return (
            width if self.min_person_width_px is None else self.min_person_width_px,
            height if self.min_person_height_px is None else self.min_person_height_px,
        )

    def jobs_directory(self) -> Path:
        """Where video jobs, what was uploaded for them and their results are."""
        return Path(self.jobs_dir or f"{self.runtime_dir}/jobs")


def _listed(written: str) -> list[str]:
    """The entries of a setting that holds several."""
    return [entry for entry in map(str.strip, written.split(",")) if entry]


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of `environ` that are settings of ours, by their names there."""
    return {name: value for name, value in environ.items() if name.startswith(PREFIX)}


def load(environ: Mapping[str, str]) -> Settings:
    """The settings in `environ`. Raises `ValueError` naming the variable that is wrong."""
    given = {name.removeprefix(PREFIX).lower(): value for name, value in variables(environ).items()}
    known = Settings.__struct_fields__
    if unknown := sorted(given.keys() - set(known)):
        raise ValueError(
            f"unknown setting {PREFIX}{unknown[0].upper()}; known: "
            + ", ".join(PREFIX + name.upper() for name in known)
        )
    try:
        settings = msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        # msgspec says "... - at `$.port`"; the operator knows the variable.
        reason, _, path = str(error).partition(" - at `$.")
        raise ValueError(f"{PREFIX}{path.rstrip('`').upper()}: {reason}") from None
    _check_ports(settings)
    return settings


def _check_ports(settings: Settings) -> None:
    operators = settings.admin_address()
    if operators is not None and operators[1] > _HIGHEST_PORT:
        raise ValueError(
            f"{PREFIX}ADMIN_LISTEN: there is no port {operators[1]}, they end at {_HIGHEST_PORT}"
        )
    if settings.edges > 1 and 0 in (settings.port, operators and operators[1]):
        raise ValueError(f"{PREFIX}EDGES: several cannot share a free port (0), name one")
