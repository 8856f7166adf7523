"""The design that this service replaces, without networks: `python -m bench.flask_baseline PORT`.

One process: Flask's own threaded server, one lock around the model, Pillow, arrays as lists of Python
numbers, `jsonify`. All is done as a reader of Flask's manual would do it; only the model is left out.
"""

import base64
import io
import logging
import sys
import threading
import time

import numpy as np
from flask import Flask, Response, jsonify, request
from PIL import Image as PillowImage

from bench.null_service import body_arrays
from body.model import Body
from wire.skeleton import COCO_KEYPOINTS, JOINT_ANGLES


def main(port: int) -> None:
    """Serve until killed."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # as little as ours logs
    make_app().run(host="127.0.0.1", port=port, threaded=True)


def make_app() -> Flask:
    """The application."""
    app = Flask(__name__)
    lock = threading.Lock()
    arrays = {name: array[0] for name, array in body_arrays().items()}
    faces = Body.open().faces

    @app.get("/health")
    def health() -> Response:
        return jsonify({"status": "ready"})

    @app.post("/pose/hybrid")
    def pose() -> Response:
        started = time.time()
        asked = request.get_json()
        encoded = base64.b64decode(asked["image_base64"])
        image = np.array(PillowImage.open(io.BytesIO(encoded)).convert("RGB"))
        with lock:  # the model's place
            height, width = image.shape[:2]
        return jsonify(_answer(arrays, faces, asked["frame_number"], width, height, started))

    return app


def _answer(
    arrays: dict[str, np.ndarray],
    faces: np.ndarray,
    frame_number: int,
    width: int,
    height: int,
    started: float,
) -> dict[str, object]:
    shares = arrays["keypoint_confidence"]
    points = zip(COCO_KEYPOINTS, arrays["keypoints"], arrays["keypoints_2d"], shares, strict=True)
    keypoints = [
        {
            "name": name,
            "x": float(pixel[0]),
            "y": float(pixel[1]),
            "z": float(point[2]),
            "x_3d": float(point[0]),
            "y_3d": float(point[1]),
            "z_3d": float(point[2]),
            "confidence": float(share),
        }
        for name, point, pixel, share in points
    ]
    return {
        "frame_number": frame_number,
        "frame_width": width,
        "frame_height": height,
        "keypoints": keypoints,
        "keypoint_count": len(keypoints),
        "has_3d": True,
        "joints_3d_raw": arrays["joints"].tolist(),
        "joint_angles_3d": dict(zip(JOINT_ANGLES, arrays["angles"].tolist(), strict=True)),
        "mesh_vertices": len(arrays["vertices"]),
        "mesh_vertices_data": arrays["vertices"].tolist(),
        "mesh_faces_data": faces.tolist(),
        "camera_translation": arrays["translation"].tolist(),
        "tracking_confidence": 0.9,
        "processing_time_ms": (time.time() - started) * 1000,
        "model_version": "bench",
    }


if __name__ == "__main__":
    main(int(sys.argv[1]))
