"""Model files: fetched once, checked always, and never half there.

The package index is a directory of wheels made here; the client is the real pip.
"""

import hashlib
import subprocess
import sys
import zipfile
from contextlib import nullcontext
from pathlib import Path

import pytest

from wire.errors import ModelNotLoaded
from wire.settings import Settings
from workers import assets
from workers.assets import command, fetching
from workers.assets.asset import Asset, Digest, FetchError, Wheel

CONTENTS = b"weights"
WHEEL = Wheel("tinymodel", "1.0")
MODEL = Asset(
    name="model.tflite",
    group="tiny",
    source=WHEEL,
    licence="MIT",
    published=Digest(len(CONTENTS), hashlib.sha256(CONTENTS).hexdigest()),
    member="tinymodel/model.tflite",
)


def fetch(assets_dir: Path) -> None:
    fetching.fetch([MODEL], assets_dir, lambda _: nullcontext(lambda *_: None))


def files(assets_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in assets_dir.iterdir() if path.name != ".lock"}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index without wheels; pip asks no other."""
    directory = tmp_path / "index"
    directory.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


@pytest.fixture
def assets_dir(tmp_path: Path) -> Path:
    return tmp_path / "assets"


def publish(index: Path, contents: bytes, *, member: str = MODEL.member) -> None:
    """Put a wheel that holds `contents` into the index."""
    with zipfile.ZipFile(index / "tinymodel-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(member, contents)
        info = "tinymodel-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinymodel\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


def test_fetching_takes_the_file_out_of_the_wheel_and_keeps_nothing_else(
    index: Path, assets_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(index, CONTENTS)

    fetch(assets_dir)

    assert files(assets_dir) == {"model.tflite": CONTENTS}
    assert capsys.readouterr().out == "fetching tinymodel 1.0 for model.tflite\n"


def test_what_is_right_is_not_fetched_again(index: Path, assets_dir: Path) -> None:
    assets_dir.mkdir()
    (assets_dir / MODEL.name).write_bytes(CONTENTS)
    assert not any(index.iterdir())  # so that a download would fail

    fetch(assets_dir)


def test_a_damaged_file_is_fetched_anew(index: Path, assets_dir: Path) -> None:
    publish(index, CONTENTS)
    assets_dir.mkdir()
    (assets_dir / MODEL.name).write_bytes(b"weirdos")
    assert assets.state(MODEL, assets_dir) == "corrupt"

    fetch(assets_dir)

    assert assets.state(MODEL, assets_dir) == "ready"


@pytest.mark.parametrize(
    ("contents", "member", "reason"),
    [
        pytest.param(b"another", MODEL.member, "SHA-256", id="of the right size, other bytes"),
        pytest.param(CONTENTS + b"!", MODEL.member, "SHA-256", id="longer than it should be"),
        pytest.param(CONTENTS, "tinymodel/moved.tflite", "holds no", id="not in the wheel"),
    ],
)
def test_a_wheel_with_other_contents_is_refused_and_changes_nothing(
    index: Path, assets_dir: Path, contents: bytes, member: str, reason: str
) -> None:
    publish(index, contents, member=member)
    assets_dir.mkdir()
    (assets_dir / MODEL.name).write_bytes(b"old")

    with pytest.raises(FetchError, match=reason):
        fetch(assets_dir)

    assert files(assets_dir) == {MODEL.name: b"old"}


@pytest.mark.usefixtures("index")
def test_a_wheel_that_is_not_to_be_had_is_reported_in_pips_words(assets_dir: Path) -> None:
    with pytest.raises(FetchError, match=r"No matching distribution found for tinymodel==1\.0"):
        fetch(assets_dir)


def test_a_missing_file_names_the_command_that_fetches_it(assets_dir: Path) -> None:
    with pytest.raises(ModelNotLoaded, match=r"python -m workers\.assets fetch blazepose"):
        assets.path("pose_detection.tflite", assets_dir)


def test_a_damaged_file_is_never_served(assets_dir: Path) -> None:
    assets_dir.mkdir()
    (assets_dir / "pose_detection.tflite").write_bytes(b"not a network")

    with pytest.raises(ModelNotLoaded, match=r"python -m workers\.assets fetch blazepose"):
        assets.read("pose_detection.tflite", assets_dir)


def test_list_shows_what_is_missing_and_verify_fails_for_it(
    assets_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["list"], assets_dir) == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == len(assets.ASSETS)
    assert all(line.startswith("missing") for line in listed)

    assert command.main(["verify", "blazepose"], assets_dir) == 1
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_setting_that_is_wrong_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSE_ASSET_DIR", "/models")
    with pytest.raises(SystemExit):
        command.main(["list"])
    assert "unknown setting POSE_ASSET_DIR" in capsys.readouterr().err


def test_an_unknown_group_is_refused(assets_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["fetch", "blazepoes"], assets_dir)
    assert (
        "unknown group blazepoes; known: blazepose, demo, clips, hmr2, phalp, detectors"
        in capsys.readouterr().err
    )


def test_a_failed_fetch_ends_with_a_reason_and_no_traceback(
    index: Path, assets_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not any(index.iterdir())
    assert command.main(["fetch"], assets_dir) == 1
    assert "pip could not download mediapipe 0.10.21" in capsys.readouterr().err


def test_every_address_is_secure_and_every_file_has_a_bound() -> None:
    urls = [url for asset in assets.ASSETS for url in getattr(asset.source, "urls", ())]
    assert len(urls) > 10
    assert all(url.startswith("https://") for url in urls)
    assert len({asset.name for asset in assets.ASSETS}) == len(assets.ASSETS)
    assert all(asset.published for asset in assets.ASSETS if asset.group in ("blazepose", "detectors"))


def test_torchvisions_digests_begin_as_its_file_names_say() -> None:
    for asset in assets.in_groups(["detectors"]):
        assert asset.source.urls[0].endswith(f"-{asset.published.sha256[:8]}.pth")


def test_what_only_the_user_can_get_is_said_in_one_message(
    assets_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["verify", "hmr2"], assets_dir) == 1

    (message,) = capsys.readouterr().err.strip().splitlines()
    assert message.startswith("SMPL_NEUTRAL.pkl is missing.")
    assert "register at https://smplify.is.tue.mpg.de" in message
    assert "basicModel_neutral_lbs_10_207_0_v1.0.0.pkl" in message
    assert message.endswith(str(assets_dir))

    assets_dir.mkdir()
    (assets_dir / "SMPL_NEUTRAL.pkl").write_bytes(b"body")
    assert command.main(["verify", "hmr2"], assets_dir) == 1
    assert capsys.readouterr().err == ""


def test_a_missing_file_of_the_users_own_says_where_to_register(assets_dir: Path) -> None:
    with pytest.raises(ModelNotLoaded, match=r"SMPL_NEUTRAL\.pkl is missing in .*register at"):
        assets.path("SMPL_NEUTRAL.pkl", assets_dir)


def test_serving_brings_neither_http_nor_pip_along() -> None:
    script = "import sys, workers.assets; sys.exit(bool({'urllib3', 'rich', 'tarfile'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    ("settings", "groups"),
    [
        (Settings(), {"blazepose"}),
        (Settings(observer="hmr2"), {"hmr2", "detectors", "phalp"}),
        (Settings(observer="hmr2", detector="blazepose"), {"hmr2", "blazepose", "phalp"}),
        (Settings(observer="hmr2", tracker="embedded"), {"hmr2", "detectors"}),
    ],
)
def test_the_settings_say_which_groups_workers_read(settings: Settings, groups: set[str]) -> None:
    assert set(assets.needed_groups(settings)) == groups
