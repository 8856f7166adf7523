"""From a crop and the body in it to the texture of what was seen of the body's surface.

The crop's camera has focal length 5000 px and its principal point at the middle of 256 pixels, whose
centres are at integers here, so the middle is 127.5. A texel was seen if its point is no deeper than the
surface that covers its pixel, and the mask of the person does not end there (PHALP, section 3.1).
"""

import zipfile
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from body.rasteriser import rasterise
from wire.camera import CROP_PX, FOCAL_256
from wire.errors import ModelNotLoaded
from workers.phalp.learned.texture import COLOUR_SHARE, SIDE, Texture

Floats = npt.NDArray[np.floating]
Index = npt.NDArray[np.integer]

#: Where no surface is, and where it begins to be too near to be one, metres.
_FAR_M: Final = 100.0
_NEAR_M: Final = 0.1

#: A point so much deeper than the surface is still the surface, metres.
_SKIN_M: Final = 1e-4

_CROP: Final = int(CROP_PX)

#: Of SMPL's mesh, which the atlas was drawn for.
_FACES: Final = 13776
_VERTICES: Final = 6890


class AtlasRefused(ModelNotLoaded):
    """A file of the atlas is missing, or holds something else."""


class Atlas:
    """Which point of which face each texel shows."""

    def __init__(self, *, faces: Index, face_of: Index, shares: Floats) -> None:
        """Take the faces (F, 3) of the mesh, and of each texel its face and the shares of its corners.

        face_of (256, 256): -1 for none; shares (256, 256, 3).
        """
        self._faces = faces
        self._texels = np.flatnonzero(face_of >= 0)
        self._corners = faces[face_of.reshape(-1)[self._texels]]  # (N, 3)
        self._shares = shares.reshape(-1, 3)[self._texels].astype(np.float32)

    @classmethod
    def open(cls, *, shares: Path, faces: Path, texture: Path) -> "Atlas":
        """The atlas of PHALP's `bmap_256.npy`, `fmap_256.npy` and `texture.npz`.

        Raises `AtlasRefused`, naming the file.
        """
        return cls(
            shares=_read(shares, (SIDE, SIDE, 3)),
            face_of=_read(faces, (SIDE, SIDE), below=_FACES).astype(np.int64),
            faces=_read(texture, (_FACES, 3), entry="smpl_faces", below=_VERTICES).astype(np.int64),
        )

    def unfold(self, vertices: Floats, crop: Floats) -> Texture:
        """The texture of a body with `vertices` (V, 3) in the crop's camera, metres.

        crop (4, 256, 256): RGB less its mean over its deviation, and the person's mask, 0..1.
        """
        points = np.einsum("nc,nck->nk", self._shares, vertices.astype(np.float32)[self._corners])
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = _pixels(points)
        seen = points[:, 2] <= _Samples(pixels)(self.surface(vertices)[None])[0] + _SKIN_M
        shown = _Samples(pixels[seen])(crop)
        kept = np.flatnonzero(seen)[shown[3] != 0]
        mask = np.zeros(SIDE * SIDE, np.bool_)
        mask[self._texels[kept]] = True
        return Texture.of_seen(COLOUR_SHARE * shown[:3, shown[3] != 0], mask)

    def surface(self, vertices: Floats) -> Floats:
        """How far away the surface is in each pixel of the crop (256, 256)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = _pixels(vertices)
        depth = rasterise(pixels, vertices[:, 2], self._faces, width=_CROP, height=_CROP).depth
        return np.where((depth > _NEAR_M) & (depth < _FAR_M), depth, np.float32(_FAR_M))


def _pixels(points: Floats) -> Floats:
    """Where points (N, 3) are seen in the crop (N, 2)."""
    return FOCAL_256 * (points[:, :2] / points[:, 2:]) + (CROP_PX - 1) / 2


class _Samples:
    """Bilinear samples at `pixels` (N, 2); beyond the edge everything is 0."""

    def __init__(self, pixels: Floats) -> None:
        at = np.nan_to_num(np.clip(pixels, -1, _CROP) + 1, nan=0)  # in pictures with a rim of one pixel
        corner = np.minimum(at.astype(np.int64), _CROP)
        self._place = corner[:, 1] * (_CROP + 2) + corner[:, 0]
        self._right, self._down = (at - corner).astype(np.float32).T

    def __call__(self, channels: Floats) -> Floats:
        """The samples (C, N) of channels (C, 256, 256)."""
        flat = np.pad(channels, ((0, 0), (1, 1), (1, 1))).reshape(len(channels), -1)
        below = self._place + _CROP + 2
        top = self._between(flat, self._place)
        return top + self._down * (self._between(flat, below) - top)

    def _between(self, flat: Floats, place: Index) -> Floats:
        left = flat.take(place, axis=1)
        return left + self._right * (flat.take(place + 1, axis=1) - left)


def _read(
    path: Path, shape: tuple[int, ...], *, entry: str | None = None, below: int | None = None
) -> Floats:
    """The array in a file. Raises `AtlasRefused` where it has another shape, or counts to `below`."""
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            values = found if entry is None else found[entry]
    except OSError as error:
        raise AtlasRefused(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, EOFError, IndexError, zipfile.BadZipFile) as error:
        raise AtlasRefused(f"{path} does not hold what an atlas needs: {error}") from error
    if values.shape != shape or values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise AtlasRefused(f"{path}: {values.dtype} of shape {values.shape}, not numbers of shape {shape}")
    if below is not None and values.max() >= below:
        raise AtlasRefused(f"{path} counts to {values.max()}, and there are {below}")
    return values
