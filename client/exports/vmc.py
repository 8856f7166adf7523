"""VMC over OSC: a person's pose as messages to an avatar, now.

The protocol (protocol.vmc.info, "Marionette") speaks of Unity's humanoid bones in Unity's axes: metres,
left-handed, x right, y up, z forward. Ours are right-handed with x to the left of a body that faces +z, so x
is mirrored: (x, y, z) -> (-x, y, z), and a turn's quaternion (x, y, z, w) -> (x, -y, -z, w). SMPL's T-pose is
the avatars', so each bone takes its joint's turn as it is. A frame is a few OSC bundles.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from client.exports.scene import Unavailable
from client.exports.skeleton import Skeleton, quaternions
from wire.skeleton import SMPL_JOINTS

Array = npt.NDArray[np.floating]

#: Where avatars listen, by agreement.
DEFAULT_PORT = 39539

#: SMPL joint -> Unity's bone. SMPL's hands are the fingers as a whole, for which Unity has no bone.
BONES = {
    "pelvis": "Hips",
    "left_hip": "LeftUpperLeg",
    "right_hip": "RightUpperLeg",
    "spine1": "Spine",
    "left_knee": "LeftLowerLeg",
    "right_knee": "RightLowerLeg",
    "spine2": "Chest",
    "left_ankle": "LeftFoot",
    "right_ankle": "RightFoot",
    "spine3": "UpperChest",
    "left_foot": "LeftToes",
    "right_foot": "RightToes",
    "neck": "Neck",
    "left_collar": "LeftShoulder",
    "right_collar": "RightShoulder",
    "head": "Head",
    "left_shoulder": "LeftUpperArm",
    "right_shoulder": "RightUpperArm",
    "left_elbow": "LeftLowerArm",
    "right_elbow": "RightLowerArm",
    "left_wrist": "LeftHand",
    "right_wrist": "RightHand",
}

#: Messages in a bundle: 80 bytes each, so that a bundle goes in one packet of any network.
_AT_ONCE = 12

_MIRROR_PLACE = np.array([-1.0, 1.0, 1.0])
_MIRROR_TURN = np.array([1.0, -1.0, -1.0, 1.0])


class Message(NamedTuple):
    """An OSC address and its arguments."""

    address: str
    arguments: tuple[Any, ...]


def messages(skeleton: Skeleton) -> Iterator[list[Message]]:
    """What is sent of each moment: the root, every bone, that they are there, and the time."""
    turns = quaternions(skeleton.rotations) * _MIRROR_TURN
    bones = skeleton.bones * _MIRROR_PLACE
    pelvis = skeleton.pelvis * _MIRROR_PLACE
    for moment, time_s in enumerate(skeleton.times_s):
        told = [Message("/VMC/Ext/Root/Pos", ("root", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0))]
        for joint, bone in BONES.items():
            number = SMPL_JOINTS.index(joint)
            place = bones[number] if number else pelvis[moment]
            told.append(_bone(bone, place, turns[moment, number]))
        told += [Message("/VMC/Ext/OK", (1,)), Message("/VMC/Ext/T", (float(time_s),))]
        yield told


def _bone(name: str, place: Array, turn: Array) -> Message:
    return Message("/VMC/Ext/Bone/Pos", (name, *map(float, place), *map(float, turn)))


class Sender:
    """Sends to one avatar over UDP: what is lost is lost, and the next pose comes soon."""

    def __init__(self, host: str, port: int) -> None:
        """Raises `Unavailable` where python-osc is not installed, `OSError` where the host is unknown."""
        try:
            from pythonosc.udp_client import UDPClient
        except ModuleNotFoundError:
            raise Unavailable("VMC needs python-osc; run: pip install 'everyframe[exports]'") from None
        try:
            self._client = UDPClient(host, port)
        except (socket.gaierror, UnicodeError) as error:  # the latter where it cannot be a name at all
            raise OSError(f"no host {host!r} is known, where the avatar is to be: {error}") from error

    def __enter__(self) -> "Sender":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def send(self, told: list[Message]) -> None:
        """One moment's messages, in bundles that are to be heeded at once."""
        from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
        from pythonosc.osc_message_builder import OscMessageBuilder

        for first in range(0, len(told), _AT_ONCE):
            bundle = OscBundleBuilder(IMMEDIATELY)
            for address, arguments in told[first : first + _AT_ONCE]:
                message = OscMessageBuilder(address)
                for argument in arguments:
                    message.add_arg(argument)
                bundle.add_content(message.build())
            with suppress(BlockingIOError):  # more than the network takes now
                self._client.send(bundle.build())


def play(
    skeleton: Skeleton,
    send: Callable[[list[Message]], None],
    *,
    now: Callable[[], float],
    sleep: Callable[[float], Any],
) -> None:
    """Send every moment at its time, counted from the first; `sleep` ends the wait by raising."""
    began = now() - float(skeleton.times_s[0])
    for time_s, told in zip(skeleton.times_s, messages(skeleton), strict=True):
        if (wait_s := began + float(time_s) - now()) > 0:
            sleep(wait_s)
        send(told)


def address(text: str) -> tuple[str, int]:
    """Host and port of `host:port`, or of a host alone. Raises `ValueError`."""
    host, _, port = text.rpartition(":") if ":" in text else (text, "", str(DEFAULT_PORT))
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not host:port")
    return host, int(port)
