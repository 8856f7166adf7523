"""What a writer may want to know beside the motion itself."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from body.model import Body
from client.exports.world import World


class Unavailable(Exception):
    """Something that a format needs is not here; the message names it."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The video around a motion.

    world: where the origin is. body: opens the body that the motion was made with, and raises
    `body.stated.AnotherBody` where that is not here. regressor: file of the joints that 4D-Humans reads off
    SMPL's surface (`SMPL_to_J19.pkl`), used with SMPL where it is there. video: the file whose frames they
    are.
    """

    world: World
    body: Callable[[], Body]
    regressor: Path | None = None
    video: Path | None = None
