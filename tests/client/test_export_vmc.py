"""VMC: a real OSC server listens, and poses an avatar by Unity's rules with what it hears."""

import socket
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_server import BlockingOSCUDPServer
from scipy.spatial.transform import Rotation

from body.model import Body
from client.__main__ import main
from client.exports import live, vmc, world
from client.exports.skeleton import of_track
from client.motion import Motion
from tests import videos
from tests.client.motions import DEGREES, MM, PARENTS, RATE, moving, off_degrees, off_mm, places, turns
from tests.client.running import Worker, service, wait_for
from wire.skeleton import SMPL_JOINTS

#: Unity's x is to the right of who faces +z; ours is to the left.
MIRROR = np.diag([-1.0, 1.0, 1.0])

#: The bones of Unity's `HumanBodyBones` that a body without fingers, eyes and jaw has.
UNITY = {
    "Hips", "Spine", "Chest", "UpperChest", "Neck", "Head",
    *(f"{side}{bone}" for side in ("Left", "Right") for bone in (
        "UpperLeg", "LowerLeg", "Foot", "Toes", "Shoulder", "UpperArm", "LowerArm", "Hand")),
}  # fmt: skip


class Avatar:
    """What an OSC server heard."""

    def __init__(self) -> None:
        self.bones: dict[str, list[tuple[float, ...]]] = defaultdict(list)
        self.heard: dict[str, list[tuple[Any, ...]]] = defaultdict(list)

    def hear(self, address: str, *arguments: Any) -> None:
        self.heard[address].append(arguments)
        if address == "/VMC/Ext/Bone/Pos":
            self.bones[arguments[0]].append(arguments[1:])


@contextmanager
def listening() -> Iterator[tuple[Avatar, int]]:
    avatar = Avatar()
    dispatcher = Dispatcher()
    dispatcher.set_default_handler(avatar.hear)
    with BlockingOSCUDPServer(("127.0.0.1", 0), dispatcher) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield avatar, server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def motion() -> Motion:
    return moving(Body.open())


def posed(avatar: Avatar, moment: int) -> tuple[np.ndarray, np.ndarray]:
    """Places and rotations (24) in Unity's world, of joints that have a bone; the others stay zero."""
    at, turned = np.zeros((24, 3)), np.zeros((24, 3, 3))
    for joint, name in enumerate(SMPL_JOINTS):
        if name not in vmc.BONES:
            continue
        told = np.array(avatar.bones[vmc.BONES[name]][moment])
        above = (at[PARENTS[joint]], turned[PARENTS[joint]]) if joint else (np.zeros(3), np.eye(3))
        at[joint] = above[0] + above[1] @ told[:3]
        turned[joint] = above[1] @ Rotation.from_quat(told[3:]).as_matrix()
    return at, turned


def test_an_avatar_stands_as_the_person_does_in_unitys_axes(motion: Motion) -> None:
    track = motion.tracks[0]
    skeleton = of_track(track, world.of_start(motion), rate=RATE)
    moments = [0, 13, 39]
    with listening() as (avatar, port):
        told = list(vmc.messages(skeleton))
        for count, moment in enumerate(moments, start=1):
            with vmc.Sender("127.0.0.1", port) as sender:
                sender.send(told[moment])
            wait_for(lambda: len(avatar.heard["/VMC/Ext/T"]) == count)  # noqa: B023, called before it changes

    assert set(avatar.bones) == UNITY
    assert avatar.heard["/VMC/Ext/OK"] == [(1,)] * 3
    assert avatar.heard["/VMC/Ext/Root/Pos"] == [("root", 0, 0, 0, 0, 0, 0, 1)] * 3
    boned = [joint for joint, name in enumerate(SMPL_JOINTS) if name in vmc.BONES]
    for heard, moment in enumerate(moments):
        at, turned = posed(avatar, heard)
        assert off_mm(at[boned], places(motion, track)[moment, boned] @ MIRROR) < MM
        assert off_degrees(turned[boned], (MIRROR @ turns(track)[moment] @ MIRROR)[boned]) < DEGREES


def test_left_is_left(motion: Motion) -> None:
    track = motion.tracks[0]
    resting = replace(
        of_track(track, world.of_camera(), rate=RATE), rotations=np.tile(np.eye(3), (1, 24, 1, 1))
    )
    told = {m.arguments[0]: m.arguments for m in next(iter(vmc.messages(resting)))[1:-2]}

    assert told["LeftUpperArm"][1] < 0 < told["RightUpperArm"][1]  # Unity's x is to the right
    assert told["LeftToes"][3] > 0.05  # and z is forward


def test_a_motion_is_played_at_its_own_pace(motion: Motion) -> None:
    skeleton = of_track(motion.tracks[0], world.of_start(motion), rate=RATE)
    clock, sent = [100.0], []

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    def send(_told: list[vmc.Message]) -> None:
        sent.append(clock[0])
        clock[0] += 0.004

    vmc.play(skeleton, send, now=lambda: clock[0], sleep=sleep)

    np.testing.assert_allclose(sent, 100 + skeleton.times_s - skeleton.times_s[0], atol=1e-9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("192.168.1.20:39540", ("192.168.1.20", 39540)), ("localhost", ("localhost", 39539))],
)
def test_an_avatar_is_named_by_host_and_port(text: str, expected: tuple[str, int]) -> None:
    assert vmc.address(text) == expected


@pytest.mark.parametrize("text", [":39539", "host:", "host:0", "host:70000", "host:port"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not host:port"):
        vmc.address(text)


@pytest.mark.parametrize("host", ["nobody", "two..dots"])
def test_a_host_that_is_not_known_is_named(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unknown(host: str, *_about: object, **_more: object) -> None:
        host.encode("idna")  # as the real one does
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    assert main(["live", str(tmp_path / "ride.mp4"), "--vmc", host]) == live.EXIT_FAILED
    assert f"no host '{host}' is known" in capsys.readouterr().err


def test_an_avatar_follows_a_video_while_it_is_played(tmp_path: Path) -> None:
    clip, runtime_dir = tmp_path / "ride.mp4", tmp_path / "run"
    runtime_dir.mkdir(mode=0o700)
    videos.write(clip, frames=10)
    with service(runtime_dir, Worker()) as broker, listening() as (avatar, port):
        status = main(["live", str(clip), "--vmc", f"127.0.0.1:{port}", "--endpoint", broker.frames, "-q"])
        wait_for(lambda: len(avatar.heard["/VMC/Ext/T"]) > 0)

    assert status == 0
    assert set(avatar.bones) == UNITY


def test_frames_that_are_too_old_when_they_are_asked_for_are_left_out() -> None:
    go_on = [threading.Event() for _ in range(3)]

    def camera() -> Iterator[live.Moment]:
        for number in range(7):
            yield float(number), np.zeros((2, 2, 3), np.uint8)
            if number in (0, 5):
                go_on[number // 5].wait(5)

    with live.newest(camera()) as frames:
        first = next(frames)[0]
        go_on[0].set()
        seen = [first]
        go_on[1].set()
        seen += [time_s for time_s, _ in frames]

    assert seen[0] == 0
    assert seen == sorted(set(seen))
    assert seen[-1] == 6


def test_a_camera_that_fails_fails_where_its_frames_are_wanted() -> None:
    def camera() -> Iterator[live.Moment]:
        yield 0.0, np.zeros((2, 2, 3), np.uint8)
        raise OSError("unplugged")

    with live.newest(camera()) as frames, pytest.raises(OSError, match="unplugged"):
        list(frames)
