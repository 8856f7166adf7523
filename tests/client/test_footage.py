"""A video's frames as they are to be seen, from real files; and the name of whatever is wrong with a file."""

from pathlib import Path

import numpy as np
import pytest

from client import footage
from client.footage import Shown
from tests import videos
from tests.videos import HEIGHT, WIDTH, corners
from wire.errors import (
    ImageTooLarge,
    InvalidVideo,
    NoVideo,
    NoVideoStream,
    PoseError,
    TruncatedVideo,
)

#: Lossy codecs and 4:2:0 colour, away from edges.
TOLERANCE = 12


def shown(path: Path, *, max_pixels: int = 10**6) -> list[Shown]:
    with footage.opened(path, max_pixels=max_pixels) as video:
        return list(video.frames())


def quadrants(image: np.ndarray) -> np.ndarray:
    """The colours in the middle of each quarter of a picture, (2, 2, 3)."""
    height, width = image.shape[:2]
    rows, columns = [height // 4, 3 * height // 4], [width // 4, 3 * width // 4]
    return image[np.ix_(rows, columns)].astype(int)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("h264.mp4", {}),
        ("h265-10bit.mp4", {"codec": "libx265", "pixel_format": "yuv420p10le"}),
        ("vp9.webm", {"codec": "libvpx-vp9"}),
        ("mjpeg.avi", {"codec": "mjpeg", "pixel_format": "yuvj420p"}),
        ("stream.ts", {}),
        ("lossless.mkv", {"codec": "ffv1"}),
    ],
)
def test_every_frame_comes_once_and_in_order(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    quiet = {"x265-params": "log-level=none"} if options.get("codec") == "libx265" else {}
    path = videos.write(tmp_path / name, frames=25, options=quiet, **options)

    frames = shown(path)

    assert len(frames) == videos.decoded_count(path) == 25
    assert [frame.number for frame in frames] == list(range(25))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(25) / 25, atol=1e-3)
    for frame in frames:
        assert frame.image.dtype == np.uint8
        assert np.abs(quadrants(frame.image) - quadrants(corners(frame.number))).max() <= TOLERANCE


@pytest.mark.parametrize(
    ("matrix", "as_seen"),
    [
        pytest.param(videos.CLOCKWISE, lambda image: np.rot90(image, -1), id="clockwise"),
        pytest.param(videos.COUNTERCLOCKWISE, lambda image: np.rot90(image), id="counterclockwise"),
        pytest.param(videos.UPSIDE_DOWN, lambda image: np.rot90(image, 2), id="upside down"),
        pytest.param(videos.MIRRORED, np.fliplr, id="mirrored"),
    ],
)
def test_a_phones_matrix_turns_the_picture(tmp_path, matrix, as_seen) -> None:
    (first, *_) = shown(videos.turned(videos.write(tmp_path / "phone.mp4", frames=2), matrix))

    assert first.image.shape == as_seen(corners()).shape
    assert np.abs(quadrants(first.image) - quadrants(as_seen(corners()))).max() <= TOLERANCE
    assert first.image.flags.c_contiguous


def test_a_variable_rate_stays_what_it_is(tmp_path: Path) -> None:
    times_ms = [0, 40, 100, 110, 300, 1300, 1333, 1366]
    path = videos.write(tmp_path / "variable.mkv", frames=8, times_ms=times_ms)

    assert [round(frame.time_s * 1000) for frame in shown(path)] == times_ms


def test_high_dynamic_range_is_mapped_to_what_a_screen_shows(tmp_path: Path) -> None:
    """Reference white, 203 nits (ITU-R BT.2408), becomes white; what is darker keeps its order."""
    (frame,) = shown(videos.grey_steps_pq(tmp_path / "pq.mkv", [0, 1, 10, 50, 100, 203, 1000]))

    greys = frame.image[HEIGHT // 2, 8::16].astype(int)
    assert np.ptp(greys, axis=1).max() <= 2  # grey stays grey
    levels = greys[:, 1].tolist()
    assert levels[0] <= 2
    assert levels[5] >= 245
    assert levels == sorted(levels)
    assert len(set(levels[:6])) == 6


def announced(path: Path) -> tuple[float | None, int | None]:
    with footage.opened(path, max_pixels=10**6) as video:
        return video.frames_per_second, video.frame_count


def test_it_tells_what_a_file_announces(tmp_path: Path) -> None:
    assert announced(videos.write(tmp_path / "a.mp4", frames=25)) == (25.0, 25)
    assert announced(videos.write(tmp_path / "b.mkv", frames=25)) == (25.0, 25)


def spoiled(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / "spoiled.mp4"
    match kind:
        case "empty":
            path.write_bytes(b"")
        case "noise":
            path.write_bytes(np.random.default_rng(1).bytes(5000))
        case "a playlist":
            videos.write(tmp_path / "secret.ts", frames=5)
            path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{tmp_path}/secret.ts\n")
        case "a list of files":
            videos.write(tmp_path / "secret.mp4", frames=5)
            path.write_text("ffconcat version 1.0\nfile secret.mp4\n")
        case "sound":
            videos.sound(path)
        case "half an mp4 with its index first":
            videos.cut(videos.write(path, frames=100), 0.6)
        case "half an mp4 with its index last":
            videos.cut(videos.write(path, frames=100, first_index=False), 0.6)
        case "half a matroska":
            path = videos.cut(videos.write(tmp_path / "spoiled.mkv", frames=100), 0.6)
        case "noise in the middle":
            content = bytearray(videos.write(path, frames=100).read_bytes())
            middle = content.index(b"mdat") + 200
            content[middle : middle + 3000] = np.random.default_rng(2).bytes(3000)
            path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("empty", NoVideo),
        ("noise", InvalidVideo),
        ("a playlist", InvalidVideo),
        ("a list of files", InvalidVideo),
        ("sound", NoVideoStream),
        ("half an mp4 with its index first", TruncatedVideo),
        ("half an mp4 with its index last", InvalidVideo),
        ("half a matroska", TruncatedVideo),
        ("noise in the middle", InvalidVideo),
    ],
)
def test_what_is_wrong_with_a_file_has_a_name(tmp_path: Path, kind: str, error: type[PoseError]) -> None:
    with pytest.raises(error) as raised:
        shown(spoiled(tmp_path, kind))
    assert str(tmp_path) not in raised.value.message


def test_a_picture_over_the_limit_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = videos.write(tmp_path / "large.mp4", frames=2)

    with pytest.raises(ImageTooLarge), footage.opened(path, max_pixels=WIDTH * HEIGHT - 1):
        pass
