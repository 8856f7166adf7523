"""The live page in Chromium, with a real service behind it: what a person who drops a video on it sees."""

import base64
import io
import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from client.private_service import PrivateService
from http_edge import tokens
from tests import videos
from tests.fake_worker import FakeWorker
from tests.http_edge.running import Edge
from tests.viewer.browser import chromium, drive
from tools.clip import clip_path

#: Frames whose mesh is looked at.
LOOKED = (3, 48, 97)
STATES = ("detected", "recovered", "predicted", "missing")

Report = dict[str, Any]


def read_lines(report: Report) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(report["lines"]).read_text().splitlines()]


def address(service: PrivateService) -> str:
    return f"http://127.0.0.1:{service.port}"


def encoded(source: Path, target: Path, codec: str, *, pixel_format: str, count: int, form: str) -> Path:
    """The first frames of a clip at a quarter of its size."""
    with av.open(str(source)) as clip, av.open(str(target), "w", format=form) as container:
        stream = container.add_stream(codec, rate=15, options={"deadline": "realtime", "cpu-used": "8"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, pixel_format
        stream.time_base = Fraction(1, 15)
        for number, frame in enumerate(clip.decode(video=0)):
            if number == count:
                break
            small = frame.reformat(640, 360, pixel_format, dst_color_range=2 if codec == "mjpeg" else None)
            small.pts, small.time_base = number, Fraction(1, 15)
            container.mux(stream.encode(small))
        container.mux(stream.encode())
    return target


@pytest.fixture(scope="module")
def dropped(browser_service: PrivateService, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """What became of a clip of 100 frames that was dropped on the page."""
    return drive(
        "clip",
        url=address(browser_service),
        clip=clip_path("pose2sim_cam01.mp4"),
        looked=LOOKED,
        downloads=tmp_path_factory.mktemp("dropped"),
    )


def test_a_clip_that_is_dropped_on_the_page_runs_to_its_end(dropped: Report) -> None:
    done = dropped["done"]

    assert (done["run"], done["source"], done["frames"]) == ("complete", "decoded", "100 / 100")
    assert sum(done["counts"].values()) == 100
    assert done["message"] == ""


def test_nothing_is_refused_by_the_policy_or_reported_as_an_error_or_loaded_from_elsewhere(
    dropped: Report,
) -> None:
    assert dropped["troubles"] == []


def test_the_timeline_has_every_frame_in_the_colour_of_its_state(dropped: Report) -> None:
    states = [line["tracking"]["state"] for line in read_lines(dropped)]
    painted = dropped["timeline"]

    assert len(painted) == 100
    assert None not in painted
    assert len(set(zip(states, painted, strict=True))) == len(set(states)) == len(set(painted))
    assert {state: states.count(state) for state in STATES} == dropped["done"]["counts"]


def test_the_results_that_are_downloaded_have_every_frame_at_its_own_time(dropped: Report) -> None:
    lines = read_lines(dropped)
    with av.open(str(clip_path("pose2sim_cam01.mp4"))) as container:
        times_ms = [float(frame.time * 1000) for frame in container.decode(video=0)]

    assert [line["frame_number"] for line in lines] == list(range(100))
    assert [line["timestamp_ms"] for line in lines] == pytest.approx(times_ms, abs=1.0)
    assert all(len(line["keypoints"]) == 17 for line in lines)
    assert max(lines[0]["frame_width"], lines[0]["frame_height"]) == 1280


def test_the_mesh_lies_on_the_person(dropped: Report) -> None:
    lines = read_lines(dropped)
    for number, url in zip(LOOKED, dropped["masks"], strict=True):
        line = lines[number]
        mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))[..., 3] > 0
        scale = mask.shape[1] / line["frame_width"]
        points = np.array([[point["x"], point["y"]] for point in line["keypoints"]]) * scale
        low, high = points.min(axis=0), points.max(axis=0)
        margin = 0.15 * (high - low).max()
        rows, columns = np.nonzero(mask)
        inside = (columns > low[0] - margin) & (columns < high[0] + margin)
        inside &= (rows > low[1] - margin) & (rows < high[1] + margin)

        assert mask.shape[0] / mask.shape[1] == pytest.approx(
            line["frame_height"] / line["frame_width"], abs=0.01
        )
        assert inside.mean() > 0.99, "the mesh stays with its keypoints"
        assert np.ptp(rows) > 0.9 * (high - low)[1], "and is as tall as they are"
        columns_of, rows_of = points[5:].round().astype(int).T  # from the shoulders down
        on_mesh = mask[rows_of.clip(0, mask.shape[0] - 1), columns_of.clip(0, mask.shape[1] - 1)]
        assert on_mesh.mean() > 0.9, "and limbs lie on it"


def test_keys_step_and_play(dropped: Report) -> None:
    keys = dropped["keys"]

    assert keys == {"Home": 0, "ArrowRight": 1, "Shift+ArrowRight": 11, "ArrowLeft": 10, "playing": "Pause"}


def test_there_is_light_and_dark_and_nothing_is_wider_than_a_phone(dropped: Report) -> None:
    assert dropped["theme"]["light"] != dropped["theme"]["dark"]
    assert dropped["phone"] <= 0


@pytest.fixture(scope="module")
def played(browser_service: PrivateService, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """What became of a file that is no video, and then of a WebM of 30 frames."""
    directory = tmp_path_factory.mktemp("played")
    letter, clip = directory / "letter.mp4", directory / "clip.webm"
    letter.write_text("not a video")
    encoded(clip_path("sports2d_demo.mp4"), clip, "libvpx", pixel_format="yuv420p", count=30, form="webm")
    return drive("played", url=address(browser_service), clip=clip, noClip=letter, downloads=directory)


def test_a_file_that_is_no_video_is_refused_with_a_sentence(played: Report) -> None:
    assert "cannot play" in played["refused"]["message"]


def test_a_file_that_only_the_browser_can_read_is_played_slowly_and_no_frame_is_passed_over(
    played: Report,
) -> None:
    times_ms = [line["timestamp_ms"] for line in read_lines(played)]

    assert played["troubles"] == []
    assert (played["done"]["run"], played["done"]["source"]) == ("complete", "played")
    assert times_ms == pytest.approx([number * 1000 / 15 for number in range(30)], abs=1.0)


def test_a_webcam_is_followed_live(browser_service: PrivateService, tmp_path: Path) -> None:
    camera = encoded(
        clip_path("sports2d_demo.mp4"),
        tmp_path / "camera.mjpeg",
        "mjpeg",
        pixel_format="yuvj420p",
        count=60,
        form="mjpeg",
    )
    report = drive("webcam", url=address(browser_service), camera=camera, downloads=tmp_path, seconds=4)
    lines = read_lines(report)
    print(f"webcam: {report['framesPerSecond']:.1f} frames/s, latency {report['done']['latency']}")

    assert report["troubles"] == []
    assert report["done"]["run"] == "stopped"
    assert report["framesPerSecond"] > 1, "docs/viewer.md says what a quiet machine does"
    assert report["meshPx"] <= 640, "processors draw here, which the poses need"
    assert all(later["timestamp_ms"] > earlier["timestamp_ms"] for earlier, later in pairwise(lines))
    assert sum(line["has_3d"] for line in lines) > 0.8 * len(lines)


def test_the_operators_page_shows_workers_stages_and_requests(
    browser_service: PrivateService, dropped: Report
) -> None:
    report = drive("operator", url=address(browser_service))

    assert dropped["done"]["run"] == "complete"
    assert report["troubles"] == []
    assert "blazepose" in report["health"]
    assert "observe" in report["stages"]
    assert "/pose/hybrid" in report["requests"]
    assert "detected" in report["found"]
    assert "worker-0" in report["workers"]


def test_a_service_with_tokens_is_asked_again_with_the_one_that_is_typed_in(tmp_path: Path) -> None:
    chromium()
    (tmp_path / "tokens").write_text(tokens.line("alice", "a secret of hers"))
    clip = videos.write(tmp_path / "clip.mp4", frames=5)
    with (
        Edge(tmp_path, {"POSE_TOKENS_FILE": str(tmp_path / "tokens")}) as edge,
        FakeWorker(edge.workers_address),
    ):
        edge.wait_until_ready()
        url = f"http://127.0.0.1:{edge.port}"
        report = drive("withToken", url=url, clip=clip, token="a secret of hers")

    assert "token" in report["without"]["message"]
    assert (report["done"]["run"], report["done"]["frames"]) == ("complete", "5 / 5")
    assert not [trouble for trouble in report["troubles"] if "401" not in trouble]
