"""How much to believe a person's pose: one number, and one for each joint.

A pose is usable as long as its track lives, and a usable pose stays at `USABLE` or above; what lies
above that is earned: by being seen, by the joints in view, by not being out of sight for long.
"""

from typing import Final

import numpy as np

from workers.phalp.state import Floats
from workers.types import State

#: The least confidence of a pose worth using.
USABLE: Final = 0.3
#: A pose found only where the tracker looked is believed a little less than one found without help.
RECOVERED_SHARE: Final = 0.9
#: Frames out of sight after which what lies above `USABLE` has fallen to 1/e.
FADING_FRAMES: Final = 12.0


def trust_of(*, score: float, visibility: Floats, detected: bool) -> float:
    """Confidence of a pose just observed: 1 only for a sure person with every joint in view."""
    evidence = score * (0.5 + 0.5 * float(visibility.mean()))
    return USABLE + (1 - USABLE) * evidence * (1.0 if detected else RECOVERED_SHARE)


def confidence(trust: float, *, unseen: int) -> float:
    """Confidence of a pose last observed `unseen` frames ago with `trust`."""
    return USABLE + (trust - USABLE) * float(np.exp(-unseen / FADING_FRAMES))


def joint_confidence(person: float, visibility: Floats) -> Floats:
    """Confidence (24,) of each joint of a pose of confidence `person`: joints out of view earn nothing."""
    return USABLE + (person - USABLE) * visibility


def state_of(*, unseen: int, detected: bool) -> State:
    """Where this frame's pose comes from."""
    if unseen:
        return "predicted"
    return "detected" if detected else "recovered"
