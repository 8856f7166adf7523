"""The demonstration names a clip that it cannot show before it starts anything, and why it cannot start."""

from pathlib import Path

import pytest

from client import demo
from tests import videos


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ride.mp4", "No such file"),
        ("notes.txt", "Invalid data"),
        ("short.mp4", "no frame has number 60"),
        ("song.m4a", "the file has no moving pictures"),
    ],
)
def test_a_clip_without_frames_is_named_with_what_to_do(
    name: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("no video")
    videos.write(tmp_path / "short.mp4", frames=2)
    videos.sound(tmp_path / "song.m4a")

    status = demo.main([str(tmp_path / name), "--first", "60", "--out", str(tmp_path / "out")])

    said = capsys.readouterr().err
    assert status == demo.EXIT_NO_CLIP
    assert str(tmp_path / name) in said
    assert reason in said
    assert "name another one, or let `make demo` fetch its own" in said
    assert not (tmp_path / "out").exists()


def test_a_service_that_does_not_start_is_told_of_in_its_own_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    videos.write(tmp_path / "short.mp4", frames=2)
    monkeypatch.setenv("POSE_KEPT_ANSWERS", "many")

    status = demo.main([str(tmp_path / "short.mp4"), "--out", str(tmp_path / "out")])

    assert status == demo.EXIT_NO_SERVICE
    assert "POSE_KEPT_ANSWERS" in capsys.readouterr().err


def test_a_frame_number_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        demo.main(["short.mp4", "--first", "-5"])
    assert ended.value.code == 2
    assert "-5: a whole number" in capsys.readouterr().err
