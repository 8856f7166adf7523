"""`everyframe export`, and `--format` of the bulk command, as they are typed."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image as PillowImage

from body.model import Body
from client import motion, video
from client.__main__ import main
from client.bulk import Report
from client.exports import overlay
from client.exports.afterwards import Afterwards
from client.exports.formats import FORMATS, Choice
from client.inputs import Video
from client.motion import Motion, Rows
from client.records import FINISHED, FRAME
from tests import smpl_files, videos
from tests.client.motions import SIZE_PX, moving
from tests.client.running import Worker, service


def save(moved: Motion, path: Path, *, clip: Path | None = None) -> Path:
    """The motion as a result file of bulk work."""
    identity = Video(clip).identity() if clip else {"path": str(path.with_suffix("")), "files": 1}
    frames = np.zeros(len(moved.times_s), FRAME)
    for name in ("times_s", "sizes_px", "primary_tracks"):
        frames[name] = getattr(moved, name)
    people = []
    for number in range(len(frames)):
        for track in moved.tracks:
            for row in np.flatnonzero(track.frames == number):
                person = np.zeros(1, FINISHED)
                for name in FINISHED.names or ():
                    person[name] = track.track_id if name == "track_ids" else getattr(track, name)[row]
                people.append(person)
                frames["people"][number] += 1
    everyone = np.concatenate(people)
    rows = Rows(len(frames), len(everyone), lambda: iter([(frames, everyone)]))
    motion.write(rows, path, moved.about, identity=identity)
    return path


@pytest.fixture(scope="module")
def moved() -> Motion:
    return moving(Body.open(), frames=12)


@pytest.fixture
def result(moved: Motion, tmp_path: Path) -> Path:
    folder = tmp_path / "motion"
    folder.mkdir()
    return save(moved, folder / "ride.mp4.npz")


def export(*words: object) -> int:
    return main(["export", "-q", *map(str, words)])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_formats_are_written_beside_the_result_a_file_for_each_person(result: Path) -> None:
    assert export(result, "-f", "bvh,glb", "-f", "csv") == 0
    assert names(result.parent) == [
        "ride.mp4.csv", "ride.mp4.npz", "ride.mp4.track3.bvh", "ride.mp4.track3.glb", "ride.mp4.track5.bvh",
        "ride.mp4.track5.glb",
    ]  # fmt: skip


def test_a_folder_stands_for_the_results_in_it(result: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "deep"
    assert export(result, "-f", "amass") == 0  # an .npz that is no result
    assert export(result.parent, "-f", "jsonl", "-o", out) == 0
    assert names(out) == ["ride.mp4.jsonl"]


def test_one_person_may_be_chosen(result: Path) -> None:
    assert export(result, "-f", "trc", "--track", 5) == 0
    assert names(result.parent) == ["ride.mp4.npz", "ride.mp4.track5.trc"]


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["-f", "fbx"], 2, "no format 'fbx'; there are amass, phalp"),
        ([], 2, "name a format"),
        (["-f", "bvh", "--track", "9"], 1, "ride.mp4 has no track 9; it has 3, 5"),
        (["-f", "overlay"], 1, "an overlay needs"),
        (["--vmc", "nowhere:"], 2, "is not host:port"),
    ],
)
def test_what_cannot_be_is_said_by_name(
    result: Path, words: list[str], status: int, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(result), *words]) == status
    assert told in capfd.readouterr().err
    assert names(result.parent) == ["ride.mp4.npz"]


def test_what_is_no_result_is_said_by_name(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ride.npz").write_bytes(b"PK")
    (tmp_path / "empty").mkdir()

    assert main(["export", str(tmp_path / "ride.npz"), "-f", "csv"]) == 1
    assert main(["export", str(tmp_path / "empty"), "-f", "csv"]) == 2
    told = capfd.readouterr().err
    assert "ride.npz" in told
    assert "no results of bulk work" in told


def film(path: Path, *, frames: int) -> Path:
    """A grey video of the size that the motion is of."""
    with video.writing(path, rate=Fraction(30000, 1001)) as add:
        for _ in range(frames):
            add(np.full((SIZE_PX[1], SIZE_PX[0], 3), 90, np.uint8))
    return path


def test_an_overlay_has_every_frame_with_the_bodies_on_it(moved: Motion, tmp_path: Path) -> None:
    clip = film(tmp_path / "ride.mp4", frames=12)
    result = save(moved, tmp_path / "ride.mp4.npz", clip=clip)
    assert export(result, "-f", "overlay") == 0
    with av.open(str(tmp_path / "ride.mp4.overlay.mp4")) as container:
        shown = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
        rate = container.streams.video[0].average_rate

    assert len(shown) == 12
    assert float(rate) == pytest.approx(30000 / 1001)
    for frame, state in ((1, "detected"), (4, "predicted")):
        np.testing.assert_allclose(shown[frame][4, 320], overlay.STATE_COLOURS[state], atol=40)
    for track in moved.tracks:
        row = 1
        x, y = track.keypoints_2d[row, 11:13].mean(axis=0).astype(int)  # between the hips
        assert np.abs(shown[track.frames[row]][y - 3 : y + 3, x - 3 : x + 3] - 90).mean() > 20


def test_an_overlay_of_a_folder_has_its_pictures_upright(tmp_path: Path) -> None:
    folder = tmp_path / "takes"
    folder.mkdir()
    lying = PillowImage.new("RGB", (SIZE_PX[1], SIZE_PX[0]), (90, 90, 90))
    exif = lying.getexif()
    exif[274] = 6  # to be turned by a quarter
    for number in range(3):
        lying.save(folder / f"frame{number}.jpg", exif=exif)
    result = save(moving(Body.open(), frames=3), tmp_path / "takes.npz", clip=folder)

    assert export(result, "-f", "overlay") == 0
    with av.open(str(tmp_path / "takes.overlay.mp4")) as container:
        assert [(frame.width, frame.height) for frame in container.decode(video=0)] == [SIZE_PX] * 3


def test_the_bulk_command_writes_formats_and_does_not_write_them_again(tmp_path: Path) -> None:
    runtime_dir, out = tmp_path / "run", tmp_path / "out"
    runtime_dir.mkdir(mode=0o700)
    clip = tmp_path / "ride.mp4"
    videos.write(clip, frames=5)
    with service(runtime_dir, Worker()) as broker:
        words = [str(clip), "-o", str(out), "-q", "--endpoint", broker.frames, "-f", "csv,bvh"]
        assert main(words) == 0
    written = {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.name != "report.json"}
    assert set(written) == {"ride.mp4.csv", "ride.mp4.npz", "ride.mp4.track7.bvh", "ride.mp4.track8.bvh"}

    (out / "ride.mp4.csv").unlink()
    assert main(words) == 0  # without a service: the result is there
    again = {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.name != "report.json"}
    assert {name for name in written if written[name] != again[name]} == {"ride.mp4.csv"}


def test_a_format_that_cannot_be_written_leaves_the_result_and_is_told(result: Path, tmp_path: Path) -> None:
    other = save(moving(smpl_files.smpl_body("a"), frames=4), tmp_path / "jump.mp4.npz")  # not as it says
    afterwards = Afterwards(Choice(("glb",)), tmp_path)
    for path in (other, result):
        afterwards.ended(Report(str(path.with_suffix("")), str(path), "complete"))

    (failure,) = afterwards.failures
    assert failure.startswith(f"{other}: the joints of the result are up to")
    assert names(tmp_path) == ["jump.mp4.npz", "motion"]
    assert names(result.parent) == ["ride.mp4.npz", "ride.mp4.track3.glb", "ride.mp4.track5.glb"]


_LANE = """
import sys
from pathlib import Path

touched = []
def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        touched.append(str(arguments[0]))
    if event == "import":
        touched.append(arguments[0])
sys.addaudithook(watch)

from client.__main__ import main
assert main(["export", "-q", *sys.argv[1:]]) == 0
files = [name for name in touched if not name.endswith((".py", ".pyc"))]
assert not [name for name in files if "smpl" in Path(name).name.lower()], files
assert "body.stated" in files and "body.official" not in files, files
assert not [name for name in files if name.endswith(".pkl") and "phalp" not in name], files
print(len(touched))
"""


def test_all_formats_are_written_with_no_smpl_file_anywhere(moved: Motion, tmp_path: Path) -> None:
    clip, assets, out = tmp_path / "ride.mp4", tmp_path / "assets", tmp_path / "out"
    film(clip, frames=12)
    assets.mkdir()
    result = save(moved, tmp_path / "ride.mp4.npz", clip=clip)
    run = subprocess.run(
        [sys.executable, "-c", _LANE, str(result), "-f", ",".join(FORMATS), "-o", str(out)],
        env={"POSE_ASSETS_DIR": str(assets), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 100  # it did look
    suffixes = {kind.suffix for kind in FORMATS.values()}
    assert all(any(name.endswith(suffix) for name in names(out)) for suffix in suffixes)
    assert not list(assets.iterdir())


def test_the_page_of_formats_has_them_all() -> None:
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    rows = {line.split("|")[1].strip(): line for line in page.splitlines() if line.startswith("| `")}

    for name, kind in FORMATS.items():
        assert f"`{'.trackN' if kind.each_track else ''}{kind.suffix}`" in rows[f"`{name}`"]
