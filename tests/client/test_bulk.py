"""The bulk command: a broker process, a worker that makes up people, and the program as it is typed."""

import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from client import motion
from client.__main__ import main
from client.records import STATES
from tests import videos
from tests.broker.running import BrokerProcess
from tests.client.running import PEOPLE, Worker, everyframe, service, stopped, wait_for
from tests.pictures import RGB, encoded


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def broker(tmp_path: Path, worker: Worker) -> Iterator[BrokerProcess]:
    runtime_dir = tmp_path / "run"
    runtime_dir.mkdir(mode=0o700)
    with service(runtime_dir, worker) as running:
        yield running


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    (folder / "more").mkdir(parents=True)
    videos.write(folder / "ride.mp4", frames=20)
    videos.write(folder / "more" / "jump.mov", frames=12)
    return folder


@pytest.fixture
def ride(clips: Path) -> Path:
    return clips / "ride.mp4"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def run(broker: BrokerProcess, *words: object) -> int:
    return main(["--endpoint", broker.frames, "-q", *map(str, words)])


def raises(error: Exception) -> Callable[..., None]:
    def call(*_: object, **__: object) -> None:
        raise error

    return call


def report(out: Path) -> dict[str, dict[str, object]]:
    told = json.loads((out / "report.json").read_text())
    return {Path(video["video"]).name: video for video in told["videos"]}


def test_every_video_in_a_folder_gets_a_file_with_the_people_of_every_frame(
    broker: BrokerProcess, worker: Worker, clips: Path, out: Path
) -> None:
    assert run(broker, clips, "-o", out, "--online") == 0

    assert sorted(path.name for path in out.iterdir()) == ["jump.mov.npz", "report.json", "ride.mp4.npz"]
    told = motion.load(out / "ride.mp4.npz")
    assert told.about == ("ride.mp4", 25.0, "fake-1", None, 1, {}, "", None)
    np.testing.assert_allclose(told.times_s, np.arange(20) / 25, atol=1e-9)
    assert told.sizes_px.tolist() == [[640, 360]] * 20
    assert told.primary_tracks.tolist() == [8] * 20
    assert [track.track_id for track in told.tracks] == [7, 8]
    for row, track in enumerate(told.tracks):
        assert track.frames.tolist() == list(range(20))
        assert [STATES[state] for state in track.states] == [PEOPLE[row]] * 20
        for name in ("rotations", "betas", "translation", "joints", "keypoints_2d", "boxes"):
            sent = np.stack([worker.arrays(number)[name][row] for number in range(20)])
            np.testing.assert_array_equal(getattr(track, name), sent)
    assert report(out)["ride.mp4"] | {"seconds": 0, "video": "", "result": ""} == {
        "video": "", "result": "", "state": "complete", "was_there": False, "frames": 20, "kept": 0,
        "tracks": 2, "detected": 0, "recovered": 0, "predicted": 20, "nobody": 0, "failed_frames": 0,
        "seconds": 0, "error": None,
    }  # fmt: skip


def test_each_video_is_a_session_whose_frames_go_out_in_order(
    broker: BrokerProcess, worker: Worker, clips: Path, out: Path
) -> None:
    run(broker, clips, "-o", out)

    assert sorted(len(worker.numbers(session)) for session in worker.sessions) == [12, 20]
    assert all(worker.numbers(s) == list(range(len(worker.numbers(s)))) for s in worker.sessions)


def test_patterns_and_lists_name_videos_too(
    broker: BrokerProcess, clips: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{clips / 'ride.mp4'}\n\n"))

    assert run(broker, "-", f"{clips}/**/*.mov", "-o", out) == 0

    assert report(out).keys() == {"ride.mp4", "jump.mov"}


def test_a_folder_of_pictures_is_a_video_in_the_order_of_their_numbers(
    broker: BrokerProcess, tmp_path: Path, out: Path
) -> None:
    folder = tmp_path / "stills"
    folder.mkdir()
    for number in (1, 2, 10, 11):
        (folder / f"frame-{number}.png").write_bytes(encoded(RGB, "PNG"))
    (folder / "frame-10.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not a picture")

    assert run(broker, folder, "-o", out, "--rate", "10") == 0

    told = motion.load(out / "stills.npz")
    assert told.errors.tolist() == ["", "", "invalid_image", ""]
    np.testing.assert_allclose(told.times_s, [0, 0.1, 0.2, 0.3])
    assert [track.frames.tolist() for track in told.tracks] == [[0, 1, 3]] * 2
    assert report(out)["stills"]["failed_frames"] == 1


def test_one_video_goes_into_a_file_of_any_name(broker: BrokerProcess, ride: Path, tmp_path: Path) -> None:
    assert run(broker, ride, "-o", tmp_path / "mine.npz") == 0
    assert len(motion.load(tmp_path / "mine.npz").times_s) == 20


def test_two_videos_of_one_name_get_two_files(broker: BrokerProcess, clips: Path, out: Path) -> None:
    videos.write(clips / "more" / "ride.mp4", frames=3)

    assert run(broker, clips / "ride.mp4", "-o", out) == 0
    assert run(broker, clips / "more" / "ride.mp4", clips / "ride.mp4", "-o", out) == 0

    found = {len(motion.load(path).times_s) for path in out.glob("ride.mp4*.npz")}
    assert found == {3, 20}


# ------------------------------------------------------------------------ going on


def test_finished_videos_are_passed_over_and_need_no_service(
    broker: BrokerProcess, worker: Worker, ride: Path, out: Path
) -> None:
    run(broker, ride, "-o", out)
    sent = len(worker.works)
    broker.stop()

    assert run(broker, ride, "-o", out) == 0

    assert len(worker.works) == sent
    assert report(out)["ride.mp4"]["was_there"] is True


def test_a_result_of_one_pass_is_none_of_two(broker: BrokerProcess, ride: Path, out: Path) -> None:
    run(broker, ride, "-o", out, "--online")
    online = motion.load(out / "ride.mp4.npz")

    assert run(broker, ride, "-o", out) == 0

    twice = motion.load(out / "ride.mp4.npz")
    assert (online.about.passes, twice.about.passes) == (1, 2)
    assert (twice.tracks[0].betas == twice.tracks[0].betas[0]).all()
    assert not (online.tracks[0].betas == online.tracks[0].betas[0]).all()
    np.testing.assert_array_equal(twice.tracks[1].joints, online.tracks[1].joints)  # never seen
    assert [track.states.tolist() for track in twice.tracks] == [
        track.states.tolist() for track in online.tracks
    ]


def test_a_changed_video_is_worked_on_again(broker: BrokerProcess, ride: Path, out: Path) -> None:
    run(broker, ride, "-o", out)
    videos.write(ride, frames=5)

    assert run(broker, ride, "-o", out) == 0
    assert len(motion.load(out / "ride.mp4.npz").times_s) == 5


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_video_goes_on_after_the_program_was_ended(
    broker: BrokerProcess, worker: Worker, ride: Path, out: Path, signum: signal.Signals, tmp_path: Path
) -> None:
    worker.open_until = 11
    process = everyframe(broker, ride, "-o", out)
    wait_for(lambda: (out / "ride.mp4.partial" / "frames").exists() and 11 in worker.numbers())
    wait_for(lambda: len(motion.load(out / "ride.mp4.partial").times_s) == 11)

    status = stopped(process, signum)
    partial = motion.load(out / "ride.mp4.partial")
    worker.open_until = 10**9
    worker.works.clear()

    assert status == (-signum if signum == signal.SIGKILL else 128 + signum)
    assert [track.frames.tolist() for track in partial.tracks] == [list(range(11))] * 2
    if signum != signal.SIGKILL:
        assert report(out)["ride.mp4"]["state"] == "unfinished"
        assert report(out)["ride.mp4"]["frames"] == 11
    assert run(broker, ride, "-o", out) == 0
    assert report(out)["ride.mp4"]["kept"] == 11
    assert len(worker.sessions) == 1
    assert min(worker.numbers()) == 10  # the last one, to see whether its session is still known
    assert not (out / "ride.mp4.partial").exists()
    assert run(broker, ride, "-o", tmp_path / "undisturbed") == 0
    assert (out / "ride.mp4.npz").read_bytes() == (tmp_path / "undisturbed" / "ride.mp4.npz").read_bytes()


def test_a_video_whose_past_is_forgotten_is_begun_anew(
    broker: BrokerProcess, worker: Worker, ride: Path, out: Path
) -> None:
    worker.open_until = 11
    process = everyframe(broker, ride, "-o", out)
    wait_for(lambda: 11 in worker.numbers())
    wait_for(lambda: len(motion.load(out / "ride.mp4.partial").times_s) == 11)
    stopped(process, signal.SIGINT)
    worker.open_until, worker.seed = 10**9, 1

    assert run(broker, ride, "-o", out, "--online") == 0

    track = motion.load(out / "ride.mp4.npz").tracks[0]
    sent = np.stack([worker.arrays(number)["joints"][0] for number in range(20)])
    np.testing.assert_array_equal(track.joints, sent)
    assert len(worker.sessions) == 2


def test_a_video_that_was_left_for_long_is_begun_anew_unasked(
    broker: BrokerProcess, worker: Worker, ride: Path, out: Path
) -> None:
    worker.open_until = 11
    process = everyframe(broker, ride, "-o", out)
    wait_for(lambda: 11 in worker.numbers())
    wait_for(lambda: len(motion.load(out / "ride.mp4.partial").times_s) == 11)
    stopped(process, signal.SIGINT)
    left = out / "ride.mp4.partial" / "frames"
    os.utime(left, (left.stat().st_mtime - 3600,) * 2)
    worker.open_until = 10**9

    assert run(broker, ride, "-o", out) == 0

    former, session = worker.sessions
    assert worker.numbers(former).count(10) == 1
    assert worker.numbers(session) == list(range(20))


def test_a_video_whose_frames_are_all_there_is_only_finished(
    broker: BrokerProcess,
    worker: Worker,
    ride: Path,
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    videos.cut(ride, 0.9)
    with monkeypatch.context() as full:
        full.setattr("client.motion.write", raises(OSError(28, "no room", "ride.mp4.npz")))
        assert run(broker, ride, "-o", out) == 1
    assert (out / "ride.mp4.partial").exists()
    sent, worker.seed = len(worker.works), 1  # nobody knows its past any more

    assert run(broker, ride, "-o", out) == 1  # its end is still missing

    assert len(worker.works) == sent
    worker.seed = 0
    assert run(broker, ride, "-o", tmp_path / "undisturbed") == 1
    assert (out / "ride.mp4.npz").read_bytes() == (tmp_path / "undisturbed" / "ride.mp4.npz").read_bytes()


def test_a_broker_that_restarts_is_waited_for(
    broker: BrokerProcess, worker: Worker, ride: Path, out: Path
) -> None:
    worker.open_until = 6
    process = everyframe(broker, ride, "-o", out)
    wait_for(lambda: 6 in worker.numbers())
    broker.stop(signal.SIGKILL)
    worker.open_until = 10**9
    broker.start()

    output, _ = process.communicate(timeout=120)

    assert process.returncode == 0, output
    assert len(motion.load(out / "ride.mp4.npz").times_s) == 20


def test_a_broker_that_takes_two_frames_at_a_time_is_not_overrun(
    tmp_path: Path, worker: Worker, clips: Path, out: Path
) -> None:
    with service(tmp_path, worker, max_queue_frames=2) as broker:
        assert run(broker, clips, "-o", out, "--at-once", "2") == 0

    assert {name: video["frames"] for name, video in report(out).items()} == {"ride.mp4": 20, "jump.mov": 12}


# ------------------------------------------------------------------------ what can be wrong


def test_a_frame_that_fails_fails_alone(broker: BrokerProcess, worker: Worker, ride: Path, out: Path) -> None:
    worker.failures = {4: "poison_frame"}

    assert run(broker, ride, "-o", out) == 0

    errors = motion.load(out / "ride.mp4.npz").errors.tolist()
    assert errors == ["poison_frame" if number == 4 else "" for number in range(20)]


def test_one_video_that_cannot_be_read_leaves_the_others_whole(
    broker: BrokerProcess, clips: Path, out: Path
) -> None:
    (clips / "broken.mp4").write_bytes(b"no video at all")
    videos.cut(videos.write(clips / "cut.mp4", frames=200), 0.5)

    assert run(broker, clips, "-o", out) == 1

    told = report(out)
    assert {name: video["state"] for name, video in told.items()} == {
        "ride.mp4": "complete", "jump.mov": "complete", "broken.mp4": "failed", "cut.mp4": "damaged",
    }  # fmt: skip
    assert str(told["broken.mp4"]["error"]).startswith("invalid_video: ")
    cut = motion.load(out / "cut.mp4.npz")
    assert cut.about.error == told["cut.mp4"]["error"]
    assert len(cut.times_s) == videos.decoded_count(clips / "cut.mp4")  # every frame that could be read
    assert run(broker, clips, "-o", out) == 1  # and says so again


def test_a_missing_file_is_named_and_nothing_is_done(
    broker: BrokerProcess, ride: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--endpoint", broker.frames, str(ride), "nowhere.mp4", "-o", str(out)]) == 2

    assert "nowhere.mp4: there is no such file or folder" in capsys.readouterr().err
    assert not out.exists()


def test_an_empty_list_is_said_to_be_empty(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))

    assert main(["-", "-o", str(out)]) == 2
    assert "no videos are given" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--at-once", "0"], ["--at-once", "few"], ["--rate", "0"], ["--rate", "x"]]
)
def test_a_number_that_cannot_be_is_named(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["ride.mp4", *words])

    assert ended.value.code == 2
    assert f"argument {words[0]}: {words[1]}: a " in capsys.readouterr().err


def test_no_service_has_a_status_of_its_own(ride: Path, out: Path, tmp_path: Path) -> None:
    assert main(["--endpoint", f"ipc://{tmp_path}/nobody.ipc", "-q", str(ride), "-o", str(out)]) == 3


def test_several_videos_do_not_fit_into_one_file(broker: BrokerProcess, clips: Path, tmp_path: Path) -> None:
    assert run(broker, clips, "-o", tmp_path / "one.npz") == 2
