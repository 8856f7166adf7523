"""The published weights are loaded as they are, or their file is named."""

import builtins
import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.workers.detectors.lively import network, picture
from wire.errors import ModelNotLoaded
from wire.settings import Settings
from workers import assets
from workers.detectors import networks
from workers.detectors.build import build
from workers.detectors.networks import Rcnn, load, prepare
from workers.detectors.person import Look, Thresholds
from workers.detectors.rcnn import RcnnDetector

CPU = torch.device("cpu")
ANYBODY = Thresholds(detection_score=1e-3, expected_score=1e-3, min_width_px=0, min_height_px=0)
FASTER = networks.FILES["fasterrcnn"]

State = OrderedDict[str, Tensor]


@pytest.fixture(scope="module")
def trained() -> Rcnn:
    """At the published scale: that is what is loaded."""
    return network("fasterrcnn", short_px=320, proposals=150)


@pytest.fixture(scope="module")
def state(trained: Rcnn) -> State:
    return trained.module.state_dict()


@pytest.mark.parametrize("name", ["fasterrcnn", "maskrcnn"])
def test_the_network_is_the_one_whose_weights_are_published(name: networks.Name) -> None:
    module = networks.architecture(name).module
    # Not before the first network: it makes torchvision importable.
    from torchvision.models.detection import (
        FasterRCNN_MobileNet_V3_Large_320_FPN_Weights,
        MaskRCNN_ResNet50_FPN_V2_Weights,
    )

    published = {
        "fasterrcnn": FasterRCNN_MobileNet_V3_Large_320_FPN_Weights,
        "maskrcnn": MaskRCNN_ResNet50_FPN_V2_Weights,
    }[name].COCO_V1
    asset = assets.named(networks.FILES[name])
    bytes_of_numbers = sum(value.numel() * value.element_size() for value in module.state_dict().values())

    assert sum(value.numel() for value in module.parameters()) == published.meta["num_params"]
    assert asset.source.urls[0] == published.url
    # The file's pickle and archive are what the size is more than the numbers.
    assert 0 < asset.published.size_bytes - bytes_of_numbers < 600 * len(module.state_dict())


def as_archive(state: State) -> State:
    return state


def as_first_written(state: State) -> State:
    """The file of 2021 names the first stage's convolution as torchvision did then, and counts no batches."""
    renamed = OrderedDict(
        (key.replace("rpn.head.conv.0.0.", "rpn.head.conv."), value) for key, value in state.items()
    )
    assert renamed.keys() != state.keys()
    return renamed


@pytest.mark.parametrize("form", [as_archive, as_first_written])
@pytest.mark.parametrize("archive", [True, False])
def test_weights_are_loaded_from_either_form_of_file(
    trained: Rcnn, state: State, tmp_path: Path, form: Callable[[State], State], archive: bool
) -> None:
    path = tmp_path / FASTER
    torch.save(form(state), path, _use_new_zipfile_serialization=archive)
    loaded = load("fasterrcnn", path, CPU)

    image = picture(240, 320)
    (people,) = RcnnDetector(loaded, ANYBODY, CPU).people([Look(image)])
    with torch.inference_mode():
        (wanted,) = trained.module([torch.from_numpy(image).permute(2, 0, 1) / 255])
    best = float(wanted["scores"][wanted["labels"] == 1].max())
    assert max(person.score for person in people) == pytest.approx(best, abs=1e-3)


def test_folding_the_normalisation_changes_nothing_but_the_time() -> None:
    made = network("fasterrcnn", short_px=64, proposals=5)
    pixels = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = made.module.backbone(pixels)
        after = prepare(made, CPU).module.backbone(pixels)
    assert not any("BatchNorm" in type(part).__name__ for part in made.module.modules())
    for level, values in before.items():
        assert (after[level] - values).abs().max() < 1e-3 * values.abs().max()


def without(state: State, key: str) -> State:
    return OrderedDict((name, value) for name, value in state.items() if name != key)


KEY = "roi_heads.box_predictor.cls_score.weight"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda state: without(state, KEY), KEY, id="a weight missing"),
        pytest.param(
            lambda state: state | {"extra.weight": torch.zeros(1)}, "extra.weight", id="one too many"
        ),
        pytest.param(lambda state: state | {KEY: torch.zeros(21, 1024)}, KEY, id="another shape"),
        pytest.param(lambda state: {"model": dict(state)}, "model", id="wrapped in another"),
        pytest.param(lambda state: [*state.values()][:2], "list", id="no names at all"),
        pytest.param(lambda state: state | {KEY: "none"}, KEY, id="a text for a weight"),
    ],
)
def test_weights_of_another_network_are_refused_and_their_file_is_named(
    state: State, tmp_path: Path, change: Callable[[State], object], reason: str
) -> None:
    path = tmp_path / FASTER
    torch.save(change(state), path)
    with pytest.raises(ModelNotLoaded, match=FASTER) as refused:
        load("fasterrcnn", path, CPU)
    assert reason in refused.value.message
    assert len(refused.value.message) < 1200


class Trap:
    """Calls `builtins.sprung` when unpickled by whoever believes it."""

    def __reduce__(self) -> tuple[object, ...]:
        return (exec, ("import builtins; builtins.sprung = True",))


def trap() -> bytes:
    file = io.BytesIO()
    torch.save({"weight": Trap()}, file)
    return file.getvalue()


def cut() -> bytes:
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(100_000)}, file)
    return file.getvalue()[:200_000]


@pytest.mark.parametrize(
    "contents",
    [
        pytest.param(trap, id="a pickle that would run something"),
        pytest.param(lambda: pickle.dumps(Trap()), id="... and is no archive"),
        pytest.param(cut, id="cut short"),
        pytest.param(lambda: b"<html>404</html>", id="a page"),
        pytest.param(lambda: b"", id="empty"),
    ],
)
def test_a_file_that_holds_no_weights_is_named_and_nothing_of_it_is_run(
    tmp_path: Path, contents: Callable[[], bytes]
) -> None:
    path = tmp_path / FASTER
    path.write_bytes(contents())
    with pytest.raises(ModelNotLoaded, match=FASTER):
        load("fasterrcnn", path, CPU)
    assert not hasattr(builtins, "sprung")


@pytest.mark.parametrize(
    ("device", "name"), [("cpu", networks.FILES["fasterrcnn"]), ("cuda", networks.FILES["maskrcnn"])]
)
def test_without_files_the_device_decides_which_is_missed(tmp_path: Path, device: str, name: str) -> None:
    with pytest.raises(ModelNotLoaded, match=rf"{name}.*fetch detectors"):
        build(Settings(), torch.device(device), assets_dir=tmp_path)


def test_the_settings_choose_detector_and_thresholds(state: State, tmp_path: Path, model_files: Path) -> None:
    torch.save(state, tmp_path / FASTER)
    asked = Settings(observer="hmr2", detector="fasterrcnn", detection_score=0.001)
    chosen = build(asked, CPU, assets_dir=tmp_path)
    assert chosen.name == "fasterrcnn"
    with_sizes = chosen.people([Look(picture(240, 320))])[0]
    assert with_sizes
    for person in with_sizes:
        width, height = person.box[2:] - person.box[:2]
        assert width >= 50
        assert height >= 100
        assert person.box.dtype == np.float32
    assert build(Settings(detector="blazepose"), CPU, assets_dir=model_files).name == "blazepose"
