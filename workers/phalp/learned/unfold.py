"""From a crop and the body in it to the texture of what was seen of the body's surface.

A texel was seen if its point is no deeper than the surface that covers its pixel, and the mask of the
person does not end there (PHALP, section 3.1). Points are summed, projected and sampled in float32 and in
the order of the original: the comparison is decided by last bits for a few texels of every body.
"""

import zipfile
from copy import copy
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from wire.camera import CROP_PX, FOCAL_256
from wire.errors import ModelNotLoaded
from workers.phalp.learned.surface import surface
from workers.texture import COLOUR_SHARE, SIDE, Map, Texture

Floats = npt.NDArray[np.floating]
Index = npt.NDArray[np.integer]

#: A point so much deeper than the surface is still the surface, metres.
_SKIN_M: Final = np.float32(1e-4)

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
        self._corners = faces[face_of.reshape(-1)[self._texels]].T.copy()  # (3, N)
        self._shares = shares.reshape(-1, 3)[self._texels].T.astype(np.float32)  # (3, N)

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
        vertices = vertices.astype(np.float32, copy=False)
        points = self._points(vertices)
        samples = _Samples(points)
        depth = samples(surface(vertices, self._faces)[None])[0]
        seen = np.flatnonzero(points[2] <= depth + _SKIN_M)
        shown = samples.of(seen)(crop)
        kept = shown[3] != 0
        mask = np.zeros(SIDE * SIDE, np.bool_)
        mask[self._texels[seen[kept]]] = True
        return Texture.of_seen(COLOUR_SHARE * shown[:3, kept], mask)

    def _points(self, vertices: Map) -> Map:
        """Where the texels' points are (3, N)."""
        places = np.ascontiguousarray(vertices.T)
        first, second, third = (
            share * places.take(corner, axis=1)
            for share, corner in zip(self._shares, self._corners, strict=True)
        )
        return first + second + third


class _Samples:
    """Bilinear samples where points (3, N) are seen in the crop; beyond its edge everything is 0."""

    def __init__(self, points: Map) -> None:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            across = points[:2] * np.float32(2 * FOCAL_256 / CROP_PX) / points[2]
            pixels = ((across + 1) * np.float32(CROP_PX) - 1) / 2
        pixels = np.nan_to_num(np.clip(pixels, -1, _CROP), nan=-1)
        corner = np.minimum(np.floor(pixels), np.float32(_CROP - 1))
        x, y = (corner + 1).astype(np.int64)  # in pictures with a rim of one pixel
        self._place = y * (_CROP + 2) + x
        right, down = pixels - corner
        left, up = 1 - right, 1 - down
        self._weights = np.stack([up * left, up * right, down * left, down * right])

    def of(self, rows: Index) -> "_Samples":
        """Samples at the points of these rows."""
        part = copy(self)
        part._place, part._weights = self._place[rows], self._weights[:, rows]
        return part

    def __call__(self, channels: Floats) -> Map:
        """The samples (C, N) of channels (C, 256, 256)."""
        flat = np.pad(channels, ((0, 0), (1, 1), (1, 1))).reshape(len(channels), -1)
        total = np.float64(0)
        for step, weights in zip((0, 1, _CROP + 2, _CROP + 3), self._weights, strict=True):
            # Each product is added without being rounded before, as the processor does it for torch.
            product = flat.take(self._place + step, axis=1) * weights.astype(np.float64)
            total = (total + product).astype(np.float32)
        return total


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
