"""What posing bodies and reading their colours costs: `python -m bench.body`."""

import argparse

import numpy as np

from bench.timing import crowd, median_ms
from body.model import Body, joint_angles
from workers.appearance import Appearance


def main() -> None:
    """Print a row for each step, for one person and for four, of the open body and of one that bends."""
    for name, body in (("open body", Body.open()), ("SMPL's size", bending_body())):
        one, four = timings_ms(body, 1), timings_ms(body, 4)
        print(f"{name + ', median ms':<24}{'1 person':>10}{'4 people':>10}")
        for step, time_ms in one.items():
            print(f"{step:<24}{time_ms:>10.3f}{four[step]:>10.3f}")


def bending_body() -> Body:
    """A body with as many numbers as SMPL's, of which 17 MB say how its surface follows the pose."""
    shipped = Body.open()
    random = np.random.default_rng(0)
    count = len(shipped.template)
    return Body(
        v_template=shipped.template,
        shapedirs=random.normal(0, 0.01, (count, 3, 10)),
        posedirs=random.normal(0, 0.002, (207, 3 * count)),
        j_regressor=shipped.weights.T / shipped.weights.sum(axis=0)[:, None],
        weights=shipped.weights,
        faces=shipped.faces,
        parents=shipped.parents,
        points=shipped.points,
    )


def timings_ms(body: Body, count: int) -> dict[str, float]:
    """Milliseconds of each step for `count` people of one 1080p frame."""
    people = crowd(count)
    rotations = np.stack([pose.rotations for pose in people])
    betas = np.stack([pose.betas for pose in people])
    mesh = body.mesh(rotations, betas)
    appearance = Appearance(body)
    image = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), dtype=np.uint8)
    return {
        "joints alone": median_ms(lambda: body.joints(rotations, betas)),
        "mesh and joints": median_ms(lambda: body.mesh(rotations, betas)),
        "COCO keypoints": median_ms(lambda: body.keypoints(mesh)),
        "joint angles": median_ms(lambda: joint_angles(mesh.joints)),
        "colours of the patches": median_ms(lambda: [appearance.sample(image, pose) for pose in people]),
    }


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m bench.body", description=__doc__).parse_args()
    main()
