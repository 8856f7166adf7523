"""What stays of an answered picture: nothing that shows it, in no file of the service, nor in its log."""

import base64
import io

import numpy as np
from PIL import Image as PillowImage

from client.backend import Backend
from client.private_service import PrivateService
from tools.chaos.clips import LANDSCAPE, pictures
from tools.clip import clip_path

#: As long a run as a picture has in common with nothing else.
_RUN_BYTES = 48


def runs(picture: bytes) -> list[bytes]:
    """Pieces of a picture as it was sent, in base64, and of its pixels."""
    with PillowImage.open(io.BytesIO(picture)) as opened:
        pixels = np.asarray(opened.convert("RGB")).tobytes()
    pieces = []
    for text in (picture, base64.b64encode(picture), pixels):
        places = np.linspace(0, len(text) - _RUN_BYTES, 40).astype(int)[10:30]
        pieces += [text[at : at + _RUN_BYTES] for at in places]
    return [piece for piece in pieces if len(set(piece)) > _RUN_BYTES // 3]  # not the sky


def test_an_answered_picture_is_in_no_file_and_not_in_the_log(
    service: PrivateService, backend: Backend
) -> None:
    frames = pictures(clip_path("sports2d_demo.mp4"), first=60, last=63, size=LANDSCAPE)
    for number, frame in enumerate(frames):
        assert backend.pose(frame, frame_number=number, session_id="private-dance").status == 200
        assert backend.pose(frame, frame_number=number).status == 200
    files = {path: path.read_bytes() for path in service.runtime_dir.rglob("*") if path.is_file()}
    files[service.log] = service.log.read_bytes()

    assert any(b"private-dance" in content for path, content in files.items() if path != service.log)
    sought = [run for frame in frames for run in runs(frame)]
    assert len(sought) > 100
    assert [path for path, content in files.items() if any(run in content for run in sought)] == []
