"""Which tracker follows people: as the settings say, and as the files allow."""

import logging
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from tests import phalp_files
from wire.errors import ModelNotLoaded
from wire.settings import Settings
from workers import assets
from workers.assets import pins
from workers.assets.pins import Pin
from workers.build import follows_by_phalp
from workers.phalp.learned.build import FILES, open_phalp

FACES = np.zeros((13776, 3), np.int64)


def settings(directory: Path, **wanted: str) -> Settings:
    return Settings(assets_dir=str(directory), **({"observer": "hmr2", "device": "cpu"} | wanted))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models")
    phalp_files.write(directory, faces=FACES)
    return directory


@pytest.mark.parametrize(
    ("wanted", "phalp"),
    [
        ({}, True),
        ({"tracker": "phalp"}, True),
        ({"tracker": "embedded"}, False),
        ({"observer": "blazepose"}, False),
        ({"observer": "blazepose", "tracker": "embedded"}, False),
    ],
    ids=str,
)
def test_phalp_follows_what_hmr2_sees_unless_the_operator_says_not(
    files: Path, wanted: dict[str, str], phalp: bool
) -> None:
    assert follows_by_phalp(settings(files, **wanted)) is phalp


def test_without_phalps_files_the_log_says_who_follows_people_and_what_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    phalp_files.write(tmp_path, faces=FACES)
    (tmp_path / "mean_std.npy").unlink()
    with caplog.at_level(logging.WARNING):
        assert not follows_by_phalp(settings(tmp_path))
    assert "embedded tracker" in caplog.text
    assert "mean_std.npy missing" in caplog.text
    assert "assets fetch phalp" in caplog.text


def test_phalp_that_is_asked_for_and_is_not_there_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelNotLoaded, match=r"hmar_v2_weights\.pth.*fetch phalp"):
        follows_by_phalp(settings(tmp_path, tracker="phalp"))
    with pytest.raises(ModelNotLoaded, match="POSE_OBSERVER=hmr2"):
        follows_by_phalp(settings(tmp_path, observer="blazepose", tracker="phalp"))


def fetched(name: str, directory: Path) -> None:
    """Record the file as one that came from its publisher."""
    digest = assets.digest(directory / name)
    pins.record(name, Pin(**asdict(digest), source="https://example.org", recorded="2026-01-01"), directory)


def test_phalp_is_official_where_every_file_came_from_its_publisher(tmp_path: Path) -> None:
    from workers.hmr2 import build as hmr2

    phalp_files.write(tmp_path, faces=FACES)
    *all_but_one, last = FILES
    for name in all_but_one:
        fetched(name, tmp_path)
    others = open_phalp(settings(tmp_path), index=0)
    fetched(last, tmp_path)
    theirs = open_phalp(settings(tmp_path), index=0)
    assert (others.published, theirs.published) == (False, True)
    assert set(theirs.models) == set(FILES)

    named = {
        (phalp, published): hmr2._model_version(phalp, published=published)
        for phalp in (None, theirs, others)
        for published in (False, True)
    }
    assert {name for (_, published), name in named.items() if not published} == {"Everyframe-HMR2"}
    assert named[theirs, True] == "4D-Humans-PHALP"
    assert named[others, True] == named[None, True] == "4D-Humans"
