"""Surfaces are unfolded as PHALP unfolds them, from a depth buffer like its renderer's."""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch

from tests.fixtures import rules
from tests.parity import networks, phalp_bodies, phalp_networks
from tests.parity.recordings import Recording, recorded
from workers.hmr2.camera import crop_translation
from workers.phalp.learned.surface import surface
from workers.texture import Texture

#: Texels, or pixels at a rim, that rounding may show or hide, of 65,536.
MAY_DIFFER = 50


class Unfolded(NamedTuple):
    """The two people of the recording."""

    vertices: np.ndarray  # (2, 6890, 3) in the crop's camera, metres
    surfaces: np.ndarray  # (2, 256, 256) depths
    textures: list[Texture]


@cache
def unfolded(variant: str) -> Unfolded:
    crops = rules.uv_input(variant)
    with torch.inference_mode():
        found = networks.hmr2("tiny", variant)(torch.from_numpy(crops[:, :3].copy()))
    mesh = phalp_bodies.body(variant).mesh(found.rotations.numpy(), found.betas.numpy())
    vertices = mesh.vertices + crop_translation(found.camera.numpy())[:, None]
    crops[:, 3] = crops[:, 3].clip(0, 1)
    atlas = phalp_bodies.atlas(variant)
    return Unfolded(
        vertices,
        np.stack([surface(each, phalp_bodies.body(variant).faces) for each in vertices]),
        [atlas.unfold(each, crop) for each, crop in zip(vertices, crops, strict=True)],
    )


def bits(packed: np.ndarray) -> np.ndarray:
    return np.unpackbits(packed).reshape(2, 256, 256).astype(bool)


@recorded("uv_texture")
def test_phalp_sees_the_recorded_surface(recording: Recording) -> None:
    vertices, surfaces, _ = unfolded(recording.variant)
    np.testing.assert_allclose(vertices[:, ::53], recording["verts_every53"], rtol=0, atol=2e-5)
    hit = surfaces < 100
    assert (hit != bits(recording["depth_hit"])).sum() <= MAY_DIFFER
    off = np.abs(surfaces[:, 2::4, 2::4] - recording["depth_sub4"]) > 1e-3
    assert off.sum() <= MAY_DIFFER
    np.testing.assert_allclose(surfaces.min(axis=(1, 2)), recording["depth_min"], rtol=1e-5)


@recorded("uv_texture")
def test_phalp_unfolds_the_recorded_texels(recording: Recording) -> None:
    ours = np.stack([texture.map() for texture in unfolded(recording.variant).textures])
    differ = (ours[:, 3] > 0) != bits(recording["uv_mask_bits"])
    assert (differ.sum(axis=(1, 2)) <= MAY_DIFFER).all()
    same = ~differ[:, 2::4, 2::4]
    for channel in range(4):
        np.testing.assert_allclose(
            ours[:, channel, 2::4, 2::4][same],
            recording["uv_vector_sub4"][:, channel][same],
            rtol=0,
            atol=1e-3,
        )


@recorded("uv_texture")
def test_phalp_takes_the_two_for_whom_they_were_recorded_as(recording: Recording) -> None:
    encoder = phalp_networks.appearance_encoder(recording.variant)
    maps = np.stack([texture.map() for texture in unfolded(recording.variant).textures])
    ours, theirs = encoder(torch.from_numpy(maps)).numpy(), recording["emb"]
    # A texel more or less moves some of the numbers: together they must move little.
    assert (np.square(ours - theirs).sum(axis=1) < 1e-3 * np.square(theirs).sum(axis=1)).all()
