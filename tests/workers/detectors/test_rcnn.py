"""torchvision's networks find the people that they show, also where the tracker expects them."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.workers.detectors.lively import network, picture, teach, tensor
from workers.detectors.networks import Rcnn, prepare
from workers.detectors.person import DetectedPerson, Look, Thresholds
from workers.detectors.rcnn import RcnnDetector
from workers.device_failures import EXIT_DEVICE_LOST
from workers.types import Array, Image

CPU = torch.device("cpu")
ANYBODY = Thresholds(detection_score=1e-3, expected_score=1e-3, min_width_px=0, min_height_px=0)
USUAL = Thresholds(detection_score=0.8, expected_score=0.3, min_width_px=0, min_height_px=0)
HERE = np.array([40, 30, 140, 230], np.float32)
ELSEWHERE = np.array([180, 30, 280, 230], np.float32)


def detector(made: Rcnn, thresholds: Thresholds) -> RcnnDetector:
    return RcnnDetector(prepare(copy_of(made), CPU), thresholds, CPU)


def copy_of(made: Rcnn) -> Rcnn:
    return replace(made, module=copy.deepcopy(made.module))


def boxes(people: list[DetectedPerson]) -> np.ndarray:
    return np.array([person.box for person in people]).reshape(-1, 4)


def scores(people: list[DetectedPerson]) -> np.ndarray:
    return np.array([person.score for person in people])


@pytest.fixture(scope="module")
def lively() -> Rcnn:
    return network("fasterrcnn")


@pytest.fixture(scope="module")
def drawing() -> Rcnn:
    return network("maskrcnn", short_px=64, proposals=20)


@pytest.fixture(scope="module")
def image() -> Image:
    return picture(240, 320)


@pytest.fixture(scope="module")
def taught(lively: Rcnn, image: Image) -> Rcnn:
    """A network that knows one person, and whose own first stage misses him."""
    made = copy_of(lively)
    teach(made, image, HERE)
    made.module.rpn.score_thresh = 2.0
    return made


def partners(people: list[DetectedPerson], others: list[DetectedPerson]) -> list[DetectedPerson]:
    """For each of `people` the one of `others` whose box is nearest."""
    apart = np.abs(boxes(people)[:, None] - boxes(others)[None]).max(axis=-1)
    return [others[number] for number in apart.argmin(axis=1)]


def assert_alike(
    people: list[DetectedPerson], others: list[DetectedPerson], *, box: float, score: float
) -> None:
    """All but a few are the same: a rounding may decide which of two equal proposals goes on."""
    for some, rest in ((people, others), (others, people)):
        met = partners(some, rest)
        near = np.abs(boxes(some) - boxes(met)).max(axis=1) < box
        assert np.mean(near & (np.abs(scores(some) - scores(met)) < score)) > 0.85


@pytest.mark.parametrize(
    ("name", "height", "width"), [("lively", 240, 320), ("lively", 400, 130), ("drawing", 400, 130)]
)
def test_people_are_those_of_torchvisions_own_forward_pass(
    name: str, height: int, width: int, request: pytest.FixtureRequest
) -> None:
    made: Rcnn = request.getfixturevalue(name)
    shown = picture(height, width, seed=3)
    with torch.inference_mode():
        (given,) = copy_of(made).module([tensor(shown)])
    masks = (given["masks"][:, 0] >= 0.5).numpy() if "masks" in given else [None] * len(given["boxes"])
    columns = (given["boxes"].numpy(), given["scores"].tolist(), masks, given["labels"].tolist())
    wanted = [
        DetectedPerson(box, score, mask, None, True)
        for box, score, mask, label in zip(*columns, strict=True)
        if label == 1 and score > ANYBODY.detection_score
    ]

    (people,) = detector(made, ANYBODY).people([Look(shown)])

    assert len(wanted) > 4
    assert_alike(people, wanted, box=0.05, score=1e-3)
    for person, other in zip(people, partners(people, wanted), strict=True):
        assert (person.mask is None) == (name == "lively")
        if person.mask is not None and np.abs(person.box - other.box).max() < 0.05:
            assert person.mask.shape == (height, width)
            assert (person.mask != other.mask).mean() < 0.01


def test_masks_lie_in_their_boxes_and_differ(drawing: Rcnn, image: Image) -> None:
    (people,) = detector(drawing, ANYBODY).people([Look(image)])
    shares = []
    for person in people:
        x0, y0, x1, y1 = person.box
        inside = np.zeros(image.shape[:2], bool)
        inside[max(0, int(y0) - 8) : int(y1) + 9, max(0, int(x0) - 8) : int(x1) + 9] = True
        assert not (person.mask & ~inside).any()
        shares.append(person.mask.sum() / ((x1 - x0) * (y1 - y0)))
    assert 0.2 < np.mean(shares) < 0.8
    assert np.std(shares) > 0.02


def test_an_expected_box_shows_whom_the_first_stage_missed(taught: Rcnn, image: Image) -> None:
    tracked = detector(taught, USUAL)
    alone, (person,) = tracked.people([Look(image), Look(image, np.stack([ELSEWHERE, HERE]))])
    assert alone == []
    assert (person.expected, person.detected) == (1, False)
    assert person.box == pytest.approx(HERE, abs=0.01)
    assert person.score > 0.9


def test_an_expected_box_without_anybody_shows_nobody(taught: Rcnn, image: Image) -> None:
    assert detector(taught, USUAL).people([Look(image, ELSEWHERE[None])]) == [[]]


def test_an_expected_person_may_score_less_than_a_found_one(taught: Rcnn, image: Image) -> None:
    doubtful = copy_of(taught)
    with torch.no_grad():
        (person,) = detector(taught, USUAL).people([Look(image, HERE[None])])[0]
        logit = float(np.log(person.score / (1 - person.score)))
        doubtful.module.roi_heads.box_predictor.cls_score.bias[1] -= logit  # now 0.5
    (person,) = detector(doubtful, USUAL).people([Look(image, HERE[None])])[0]
    assert person.score == pytest.approx(0.5, abs=0.01)
    stricter = replace(USUAL, expected_score=0.6)
    assert detector(doubtful, stricter).people([Look(image, HERE[None])]) == [[]]


def test_who_is_found_without_help_is_found_the_same_with_expected_boxes(lively: Rcnn, image: Image) -> None:
    look = detector(lively, ANYBODY)
    (alone,) = look.people([Look(image)])
    (helped,) = look.people([Look(image, np.stack([HERE, ELSEWHERE]))])
    own = [person for person in helped if person.detected]
    assert boxes(own) == pytest.approx(boxes(alone), abs=0.02)
    assert scores(own) == pytest.approx(scores(alone), abs=1e-4)


def test_a_picture_at_twice_the_size_shows_the_same_people_at_twice_the_size(lively: Rcnn) -> None:
    small = picture(96, 128)  # the network's own size: halving the large one gives its very pixels
    large = small.repeat(2, axis=0).repeat(2, axis=1)
    look = detector(lively, ANYBODY)
    one, other = look.people([Look(small), Look(large)])
    assert len(one) > 2
    assert boxes(other) == pytest.approx(2 * boxes(one), abs=0.02)
    assert scores(other) == pytest.approx(scores(one), abs=1e-4)


def test_a_picture_gets_the_same_answer_alone_and_in_company(lively: Rcnn) -> None:
    looks = [
        Look(picture(240, 320, seed=5), HERE[None]),
        Look(picture(240, 320, seed=6)),
        Look(picture(64, 900, seed=7)),
        Look(picture(240, 320, seed=8), np.stack([ELSEWHERE, HERE])),
    ]
    look = detector(lively, ANYBODY)
    together = look.people(looks)
    assert sum(map(len, together)) > 10
    for number, people in enumerate(together):
        (alone,) = look.people([looks[number]])
        assert boxes(alone).tobytes() == boxes(people).tobytes()
        assert scores(alone).tobytes() == scores(people).tobytes()
        assert [one.expected for one in alone] == [one.expected for one in people]


def test_pictures_of_one_size_go_together_where_that_pays(lively: Rcnn) -> None:
    """What a GPU is asked, here with the arithmetic of the CPU."""
    looks = [
        Look(picture(240, 320, seed=5), HERE[None]),
        Look(picture(200, 300, seed=6)),
        Look(picture(240, 320, seed=8), np.stack([ELSEWHERE, HERE])),
        Look(picture(240, 320, seed=9)),
    ]
    look = detector(lively, ANYBODY)
    for number, people in zip((0, 2, 3), look._look([looks[0], looks[2], looks[3]]), strict=True):
        (alone,) = look.people([looks[number]])
        assert len(alone) > 0
        assert_alike(people, alone, box=0.05, score=1e-3)


def test_a_very_flat_picture_does_not_mislead_the_ones_after_it(lively: Rcnn, image: Image) -> None:
    (wanted,) = detector(lively, ANYBODY).people([Look(image)])
    look = detector(lively, ANYBODY)
    look.people([Look(picture(8, 900))])
    (after,) = look.people([Look(image)])
    assert boxes(after).tobytes() == boxes(wanted).tobytes()


@pytest.mark.parametrize(
    "box",
    [
        pytest.param([400, 10, 500, 90], id="beside the picture"),
        pytest.param([60, 60, 20, 20], id="inside out"),
        pytest.param([50, 50, 50, 90], id="without width"),
        pytest.param([np.nan, 0, 10, 10], id="not a number"),
        pytest.param([-np.inf, -np.inf, -5, np.inf], id="endless, beside the picture"),
    ],
)
def test_an_expected_box_that_shows_nothing_is_passed_over(taught: Rcnn, image: Image, box: Array) -> None:
    expected = np.array([box, HERE], np.float32)
    (person,) = detector(taught, USUAL).people([Look(image, expected)])[0]
    assert person.expected == 1


def test_memory_that_is_too_small_for_all_is_used_for_half(
    lively: Rcnn, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = detector(lively, ANYBODY)
    looks = [Look(picture(240, 320, seed=seed)) for seed in range(4)]
    alone = [len(look.people([one])[0]) for one in looks]
    whole, sizes = look._look, []

    def narrow(looks: list[Look]) -> list[list[DetectedPerson]]:
        sizes.append(len(looks))
        if len(looks) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(looks)

    monkeypatch.setattr(look, "_look", narrow)
    monkeypatch.setattr(look, "_batches", lambda looks: [list(range(len(looks)))])  # as on a GPU
    assert [len(people) for people in look.people(looks)] == alone
    assert sizes == [4, 2, 2]


def test_a_gpu_that_answers_no_more_ends_the_process(lively: Rcnn, monkeypatch: pytest.MonkeyPatch) -> None:
    look = detector(lively, ANYBODY)

    def lost(_looks: list[Look]) -> list[list[DetectedPerson]]:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(look, "_look", lost)
    with pytest.raises(SystemExit) as ended:
        look.people([Look(picture(240, 320, seed=0))])
    assert ended.value.code == EXIT_DEVICE_LOST
