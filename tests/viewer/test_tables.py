"""The page's own reader of MP4 tables beside libav: every frame, at its time, turned as the file says."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests import videos
from tests.viewer.browser import HERE, VIEWER, run
from tools.clip import clip_path


def track(path: Path) -> dict | None:
    found = run(HERE / "tables.mjs", str(VIEWER / "mp4.js"), str(path))
    return found[0]


def shown_ms(path: Path) -> list[float]:
    """The times of all frames that libav shows."""
    with av.open(str(path)) as container:
        return [float(frame.time * 1000) for frame in container.decode(video=0)]


def agrees(path: Path) -> None:
    found = track(path)
    assert found is not None
    times_ms = sorted(sample["timeUs"] / 1e3 for sample in found["samples"] if sample["shown"])
    assert times_ms == pytest.approx(shown_ms(path), abs=1.0)
    assert found["frameCount"] == len(times_ms)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"first_index": False},
        {"options": {"bf": "3", "g": "12"}},
        {"options": {"bf": "0"}},
        {"times_ms": [0, 40, 80, 500, 520, 1000, 1033]},
    ],
    ids=["index first", "index last", "reordered frames", "frames in order", "variable rate"],
)
def test_every_frame_has_the_time_that_libav_gives_it(tmp_path: Path, given: dict) -> None:
    times_ms = given.get("times_ms")
    agrees(videos.write(tmp_path / "video.mp4", **given, **({"frames": len(times_ms)} if times_ms else {})))


@pytest.mark.parametrize("name", ["sports2d_demo.mp4", "pose2sim_cam01.mp4", "pose2sim_cam03.mp4"])
def test_real_clips_agree_with_libav(name: str) -> None:
    agrees(clip_path(name))


def test_a_quicktime_file_of_a_phone_is_read(tmp_path: Path) -> None:
    agrees(videos.write(tmp_path / "video.mov"))


@pytest.mark.parametrize(
    "matrix", [videos.CLOCKWISE, videos.UPSIDE_DOWN, videos.COUNTERCLOCKWISE, videos.MIRRORED]
)
def test_a_file_says_how_its_picture_is_turned(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    found = track(videos.turned(videos.write(tmp_path / "video.mp4"), matrix))

    assert found is not None
    assert found["matrix"] == list(matrix)


def test_the_codec_is_named_as_browsers_want_it() -> None:
    h264, vp9 = track(clip_path("pose2sim_cam01.mp4")), track(clip_path("sports2d_demo.mp4"))

    assert h264 is not None and vp9 is not None
    assert h264["config"]["codec"] == "avc1.64002a"
    assert vp9["config"]["codec"] == "vp09.01.40.08"
    assert h264["framesPerSecond"] == pytest.approx(float(Fraction(60)))


def test_what_is_no_mp4_or_is_broken_is_left_to_the_browser(tmp_path: Path) -> None:
    whole = videos.write(tmp_path / "video.mp4")
    content = bytearray(whole.read_bytes())
    at = content.index(b"stsz") + 12
    content[at : at + 4] = (2**31).to_bytes(4, "big")  # more samples than there can be
    (tmp_path / "broken.mp4").write_bytes(content)
    (tmp_path / "half.mp4").write_bytes(whole.read_bytes()[:200])
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty.mp4").write_bytes(b"")

    for name in ("broken.mp4", "half.mp4", "text.mp4", "empty.mp4"):
        assert track(tmp_path / name) is None, name
