"""GLB files, opened by libraries that are not ours and posed by the rules of glTF, beside the motion."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from pygltflib import GLTF2
from scipy.spatial.transform import Rotation, Slerp

from body import stated
from body.model import Body
from body.stated import AnotherBody
from client.exports import formats
from client.exports.formats import Choice
from client.motion import Motion, Track
from tests import smpl_files
from tests.client.motions import DEGREES, MM, UP, moving, off_degrees, off_mm, places, shift, turns
from wire.skeleton import SMPL_JOINTS

_KINDS = {5121: "u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_SIZES = {"SCALAR": (), "VEC3": (3,), "VEC4": (4,), "MAT4": (4, 4)}


class Opened:
    """A file as pygltflib reads it."""

    def __init__(self, path: Path) -> None:
        self.gltf = GLTF2().load(str(path))
        self._content = self.gltf.binary_blob()

    def array(self, number: int) -> np.ndarray:
        accessor = self.gltf.accessors[number]
        view = self.gltf.bufferViews[accessor.bufferView]
        shape = (accessor.count, *_SIZES[accessor.type])
        kind = np.dtype(_KINDS[accessor.componentType])
        values = np.frombuffer(self._content, kind, int(np.prod(shape)), view.byteOffset).reshape(shape)
        return values.swapaxes(1, 2) if accessor.type == "MAT4" else values  # written by columns

    def posed(self, time_s: float) -> tuple[list[str], np.ndarray]:
        """Names of the joints, and their matrices (24, 4, 4) in the world at that time of the animation."""
        nodes, (animation,) = self.gltf.nodes, self.gltf.animations
        local = [(np.array(node.translation or [0, 0, 0]), Rotation.identity()) for node in nodes]
        for channel in animation.channels:
            sampler = animation.samplers[channel.sampler]
            assert sampler.interpolation == "LINEAR"
            times, values = self.array(sampler.input).astype(float), self.array(sampler.output).astype(float)
            at = np.clip(time_s, times[0], times[-1])
            place, turn = local[channel.target.node]
            if channel.target.path == "translation":
                place = np.array([np.interp(at, times, values[:, axis]) for axis in range(3)])
            else:
                turn = Slerp(times, Rotation.from_quat(values))(at) if len(times) > 1 else Rotation(values[0])
            local[channel.target.node] = place, turn
        world: dict[int, np.ndarray] = {}

        def walk(number: int, above: np.ndarray) -> None:
            own = np.eye(4)
            own[:3, :3], own[:3, 3] = local[number][1].as_matrix(), local[number][0]
            world[number] = above @ own
            for child in nodes[number].children or []:
                walk(child, world[number])

        for number in self.gltf.scenes[self.gltf.scene].nodes:
            walk(number, np.eye(4))
        joints = self.gltf.skins[0].joints
        return [nodes[joint].name for joint in joints], np.stack([world[joint] for joint in joints])

    def surface(self, time_s: float) -> np.ndarray:
        """The vertices (V, 3) in the world, skinned as the specification says."""
        attributes = self.gltf.meshes[0].primitives[0].attributes
        _, joints = self.posed(time_s)
        moves = joints @ self.array(self.gltf.skins[0].inverseBindMatrices)
        which, share = self.array(attributes.JOINTS_0), self.array(attributes.WEIGHTS_0)
        blended = np.einsum("vk,vkij->vij", share, moves[which])
        resting = self.array(attributes.POSITION)
        return np.einsum("vij,vj->vi", blended[:, :3, :3], resting) + blended[:, :3, 3]


@pytest.fixture(scope="module")
def out(motion: Motion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    written(motion, folder)
    return folder


def written(motion: Motion, folder: Path) -> None:
    chosen = Choice(("glb",))
    scene = formats.scene_of(motion, chosen, assets_dir=folder, video=None)
    formats.export(formats.targets(motion, chosen, folder / "ride"), scene)


def surface(body: Body, motion: Motion, track: Track, row: int) -> np.ndarray:
    """Where the vertices are to be."""
    mesh = body.mesh(track.rotations[row, None], track.betas[row, None])
    return (mesh.vertices[0] + track.translation[row]).astype(float) @ UP + shift(motion)


@pytest.mark.parametrize("row", [0, 11, 39])
def test_joints_are_where_they_are_and_turned_as_they_are(motion: Motion, out: Path, row: int) -> None:
    track = motion.tracks[0]
    names, joints = Opened(out / "ride.track3.glb").posed(track.times_s[row])

    assert names == list(SMPL_JOINTS)
    assert off_mm(joints[:, :3, 3], places(motion, track)[row]) < MM
    assert off_degrees(joints[:, :3, :3], turns(track)[row]) < DEGREES


@pytest.mark.parametrize("row", [0, 25])
def test_the_skinned_surface_is_the_body(body: Body, motion: Motion, out: Path, row: int) -> None:
    track = motion.tracks[0]
    opened = Opened(out / "ride.track3.glb")

    assert off_mm(opened.surface(track.times_s[row]), surface(body, motion, track, row)) < MM


def test_a_person_who_comes_later_is_at_the_same_time_in_the_same_place(motion: Motion, out: Path) -> None:
    track = motion.tracks[1]
    opened = Opened(out / "ride.track5.glb")

    for row in (0, 10, len(track.frames) - 1):
        _, joints = opened.posed(track.times_s[row])
        assert off_mm(joints[:, :3, 3], places(motion, track)[row]) < MM


def test_another_library_finds_one_closed_surface_of_the_right_size(body: Body, out: Path) -> None:
    scene = trimesh.load(out / "ride.track3.glb", process=False)
    (mesh,) = scene.geometry.values()

    assert (mesh.vertices.shape, mesh.faces.shape) == ((6890, 3), (13776, 3))
    assert mesh.is_watertight
    assert mesh.volume > 0.03  # outward faces
    np.testing.assert_array_equal(mesh.faces, body.faces)
    assert 1.4 < np.ptp(mesh.vertices[:, 1]) < 2.1
    by_angles = trimesh.Trimesh(mesh.vertices, mesh.faces).vertex_normals  # ours go by areas
    alike = np.einsum("vi,vi->v", mesh.vertex_normals, by_angles)
    assert alike.min() > 0
    assert np.mean(alike > 0.9) > 0.95


def test_the_file_says_what_it_was_made_of(motion: Motion, out: Path) -> None:
    told = GLTF2().load(str(out / "ride.track3.glb")).extras

    assert (told["source"], told["track"], told["model"]) == ("ride.mp4", 3, "made-up")
    assert told["body"] == "open_body.npz"
    np.testing.assert_allclose(told["camera"], shift(motion), atol=1e-6)


def test_a_result_of_another_body_is_refused_by_name(body: Body, tmp_path: Path) -> None:
    with pytest.raises(AnotherBody, match=r"SMPL_NEUTRAL\.pkl, which is not in"):
        written(moving(body, said="SMPL_NEUTRAL.pkl sha256:00", frames=4), tmp_path)
    with pytest.raises(AnotherBody, match="it was made with another body"):
        written(moving(smpl_files.smpl_body("a"), frames=4), tmp_path)

    assert not list(tmp_path.iterdir())


def test_a_result_of_smpl_has_its_surface_where_its_file_is(tmp_path: Path) -> None:
    smpl_files.write(tmp_path / stated.SMPL, smpl_files.smpl_model("a"))
    smpl = stated.opened(stated.SMPL, tmp_path)
    of_smpl = moving(smpl, said=stated.SMPL, frames=4)
    written(of_smpl, tmp_path)
    opened = Opened(tmp_path / "ride.track3.glb")

    _, joints = opened.posed(0)
    assert off_mm(joints[:, :3, 3], places(of_smpl, of_smpl.tracks[0])[0]) < MM
    assert opened.surface(0).shape == (6890, 3)
