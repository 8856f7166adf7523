"""What PHALP's fold costs for ten people: `python -m bench.phalp`. Weights are random: time does not mind."""

import argparse
from collections.abc import Sequence

import numpy as np
import torch

from bench.timing import crowd, median_ms
from workers.phalp.learned.associate import LooksAsked
from workers.phalp.learned.life import PosesAsked
from workers.phalp.learned.networks.device import Networks
from workers.phalp.learned.networks.encoder import AppearanceEncoder
from workers.phalp.learned.networks.pose_transformer import PoseTransformer, TransformerShape
from workers.phalp.learned.state import Floats, SessionState
from workers.phalp.learned.tracker import LearnedTracker
from workers.texture import Texture
from workers.tracker import FrameFacts
from workers.types import Observation

_WIDTH, _HEIGHT = 1920, 1080
_FRAMES = 10  # folded before time is taken: everyone is known by then

#: A transformer like the one that is public (LART's), and a small one.
SHAPES = {
    "large transformer": TransformerShape(
        frame_length=125,
        dim=128,
        pose_dim=229,
        depth=16,
        heads=16,
        head_dim=64,
        mlp_dim=512,
        stride=5,
        padding=1,
    ),
    "small transformer": TransformerShape(
        frame_length=125, dim=64, pose_dim=229, depth=2, heads=4, head_dim=16, mlp_dim=96, stride=5, padding=1
    ),
}


def main() -> None:
    """Print a row for each set of networks: one person, ten who stand apart, ten in close pairs."""
    print(f"{'median ms a frame':<28}{'1 person':>10}{'10 apart':>10}{'10 in pairs':>12}")
    plain = LearnedTracker(looks=_alike, poses=_held, max_people=16)
    trackers = {"no networks": plain}
    for name, shape in SHAPES.items():
        networks = _networks(shape)
        trackers[name] = LearnedTracker(looks=_alike, poses=networks.poses, max_people=16)
        trackers[f"{name}, encoder"] = LearnedTracker(
            looks=networks.looks, poses=networks.poses, max_people=16
        )
    crowds = [_apart(1), _apart(10), _pairs(10)]
    states = [_followed(plain, people) for people in crowds]
    for name, tracker in trackers.items():
        times_ms = [_frame_ms(tracker, state, people) for state, people in zip(states, crowds, strict=True)]
        print(f"{name:<28}{times_ms[0]:>10.1f}{times_ms[1]:>10.1f}{times_ms[2]:>12.1f}", flush=True)
    print(f"state: {len(states[1].to_bytes()) / 10 / 1024:.0f} KiB a person")


def _frame_ms(tracker: LearnedTracker, state: SessionState, people: Sequence[Observation]) -> float:
    return median_ms(lambda: _track(tracker, state, _FRAMES, people), repeats=7)


def _followed(tracker: LearnedTracker, people: Sequence[Observation]) -> SessionState:
    state = tracker.start()
    for number in range(_FRAMES):
        state = _track(tracker, state, number, people)
    return state


def _track(
    tracker: LearnedTracker, state: SessionState, number: int, people: Sequence[Observation]
) -> SessionState:
    (expected,) = tracker.expect([(state, FrameFacts(number, _WIDTH, _HEIGHT))])
    (tracked,) = tracker.follow([(expected, people)])
    return tracked.state


def _apart(count: int) -> list[Observation]:
    """People in two rows of five, so far apart that none may be another one."""
    return [
        _observed(number, across=(number % 5 - 2) * 0.19, down=(number // 5 - 0.5) * 0.3)
        for number in range(count)
    ]


def _pairs(count: int) -> list[Observation]:
    """The same in pairs: each may be the other one."""
    return [
        _observed(number, across=(number // 2 - 2) * 0.19 + number % 2 * 0.02, down=0.0)
        for number in range(count)
    ]


def _observed(number: int, *, across: float, down: float) -> Observation:
    """Someone so far from the picture's middle, in widths, with two fifths of the surface in view."""
    random = np.random.default_rng(number)
    pose = crowd(number + 1)[number]
    depth = 60.0
    pose.translation[:] = [across * depth * 256 / 5000, down * depth * 256 / 5000, depth]
    seen = random.random(256 * 256) < 0.4
    middle = _WIDTH / 2 + across * _WIDTH
    return Observation(
        pose=pose,
        box=np.array([middle - 80, 200, middle + 80, 900], np.float32),
        score=0.95,
        joint_visibility=np.ones(24, np.float32),
        appearance=np.zeros((1, 3), np.float32),
        patch_weight=np.zeros(1, np.float32),
        detected=True,
        proposal=None,
        texture=Texture.of_seen(random.normal(0, 0.2, (3, int(seen.sum()))), seen),
    )


def _alike(asked: Sequence[LooksAsked]) -> list[Floats]:
    return [np.zeros(len(one.pairs)) for one in asked]


def _held(asked: Sequence[PosesAsked]) -> list[Floats]:
    return [one.poses[:, -1] for one in asked]


def _networks(shape: TransformerShape) -> Networks:
    torch.manual_seed(0)
    transformer = PoseTransformer(shape)
    for numbers in (*transformer.parameters(), *transformer.buffers()):
        torch.nn.init.normal_(numbers, std=0.05)
    transformer.deviation.fill_(1)
    return Networks(
        encoder=AppearanceEncoder().requires_grad_(False),
        transformer=transformer.requires_grad_(False),
        device=torch.device("cpu"),
    )


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m bench.phalp", description=__doc__).parse_args()
    main()
