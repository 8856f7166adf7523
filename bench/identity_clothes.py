"""What made-up people wear: a colour for each face of the body."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from body.model import Body
from wire.skeleton import SMPL_JOINTS

Floats = npt.NDArray[np.floating]

#: Which garment covers what the joints move.
GARMENT_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "head": ("neck", "head"),
    "shirt": ("spine1", "spine2", "spine3", "left_collar", "right_collar", "left_shoulder", "right_shoulder"),
    "sleeves": ("left_elbow", "right_elbow"),
    "hands": ("left_wrist", "left_hand", "right_wrist", "right_hand"),
    "trousers": ("pelvis", "left_hip", "right_hip"),
    "legs": ("left_knee", "right_knee"),
    "shoes": ("left_ankle", "left_foot", "right_ankle", "right_foot"),
}

SKINS: Final = np.array([[0.91, 0.75, 0.64], [0.78, 0.58, 0.45], [0.55, 0.38, 0.28], [0.36, 0.24, 0.18]])
HAIRS: Final = np.array([[0.12, 0.09, 0.07], [0.3, 0.2, 0.12], [0.6, 0.48, 0.3], [0.5, 0.5, 0.5]])

#: How far the colours of those who dress alike lie apart, each channel of 0..1.
ALIKE: Final = 0.1


def wardrobe(draw: np.random.Generator, people: int, *, alike: bool) -> list[dict[str, Floats]]:
    """A colour (3,) for each garment of each of `people`; `alike`: all but skin and hair from one pattern."""
    pattern = _outfit(draw)
    outfits = []
    for _ in range(people):
        outfit = _outfit(draw)
        if alike:
            for garment in ("shirt", "trousers", "shoes"):
                outfit[garment] = np.clip(pattern[garment] + draw.normal(0, ALIKE, 3), 0.03, 0.97)
            outfit["sleeves"] = outfit["shirt"] if _is_long(pattern) else outfit["hands"]
            outfit["legs"] = outfit["trousers"]
        outfits.append(outfit)
    return outfits


def painted(
    draw: np.random.Generator, body: Body, faces: npt.NDArray[np.integer], outfit: dict[str, Floats]
) -> Floats:
    """Colours (F, 3) of `faces` (F, 3) of the body in an outfit: shirts have stripes."""
    centres = body.template[faces].mean(axis=1)
    garments = list(GARMENT_OF)
    weights = np.stack(
        [
            body.weights[:, [SMPL_JOINTS.index(joint) for joint in GARMENT_OF[name]]].sum(axis=1)
            for name in garments
        ],
        axis=1,
    )
    worn = weights[faces].sum(axis=1).argmax(axis=1)
    paint = np.stack([outfit[name] for name in garments])[worn]
    head = worn == garments.index("head")
    back = head & (
        (centres[:, 2] < centres[head, 2].mean()) | (centres[:, 1] > np.quantile(centres[head, 1], 0.85))
    )
    paint[back] = outfit["hair"]
    stripes = 0.1 * draw.random() * np.sign(np.sin(draw.uniform(20, 90) * centres[:, 1]))
    paint += np.where((worn == garments.index("shirt"))[:, None], stripes[:, None], 0)
    return np.clip(paint + draw.normal(0, 0.03, paint.shape), 0, 1)


def _outfit(draw: np.random.Generator) -> dict[str, Floats]:
    skin = SKINS[draw.integers(len(SKINS))] * draw.uniform(0.92, 1.05)
    shirt, trousers, shoes = (draw.uniform(0.05, 0.95, 3) for _ in range(3))
    return {
        "head": skin, "hands": skin, "hair": HAIRS[draw.integers(len(HAIRS))],
        "shirt": shirt, "sleeves": shirt if draw.random() < 0.5 else skin,
        "trousers": trousers, "legs": trousers if draw.random() < 0.7 else skin, "shoes": shoes,
    }  # fmt: skip


def _is_long(outfit: dict[str, Floats]) -> bool:
    return outfit["sleeves"] is outfit["shirt"]
