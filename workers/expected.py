"""Where a picture should show the people whom the tracker expects in it. Pure."""

from collections.abc import Sequence

import numpy as np

from body.model import Body
from wire.camera import project
from workers.types import Array, Proposal


def joints_px(body: Body, proposals: Sequence[Proposal], *, width: int, height: int) -> Array:
    """The joints (E, 24, 2) of the E bodies proposed, pixels of a picture of `width` x `height`."""
    if not proposals:
        return np.zeros((0, 24, 2), np.float32)
    poses = [proposal.pose for proposal in proposals]
    joints = body.joints(
        np.stack([pose.rotations for pose in poses]), np.stack([pose.betas for pose in poses])
    )
    return project(joints, np.stack([pose.translation for pose in poses]), width, height)
