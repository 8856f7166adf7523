"""People look as different as PHALP finds them, and are as costly to take for each other."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from tests.fixtures import rules
from tests.parity import phalp_networks
from tests.parity.recordings import Recording, recorded
from workers.phalp.learned.costs import EQ_019, Equation, People, Terms, costs, terms
from workers.phalp.learned.networks.encoder import texture_distances
from workers.texture import COLOUR_SHARE, Texture

#: Another of PHALP's equations, and what becomes of it in the first frame of a shot: a place says nothing,
#: and looks are `raw_appearances`.
EQ_010 = Equation(texture=3.8303, pose=1.5207, location=0.4930, nearness=4.5831, most_pose=1.2)
EQ_010_NEW_SHOT = replace(EQ_010, texture=7.8303, location=np.inf, nearness=np.inf)

#: Of 99 numbers of a location: the origin's picture and its depth; its doubts.
PLACE, DOUBT = [88, 89, 92], [93, 94, 95]


def maps(variant: str) -> torch.Tensor:
    return torch.from_numpy(np.stack([rules.app_uv(variant, number) for number in range(4)]))


@cache
def texture_of_all_pairs(variant: str) -> np.ndarray:
    """(4, 4): of every map with every other."""
    numbers = torch.arange(4)
    encoder, everyone = phalp_networks.appearance_encoder(variant), maps(variant)
    pairs = torch.cartesian_prod(numbers, numbers)
    return texture_distances(encoder, everyone, everyone, pairs).reshape(4, 4).double().numpy()


def recorded_terms(recording: Recording) -> Terms:
    expected = People(recording["dist_tpose"], recording["dist_tloca"][:, PLACE])
    seen = People(recording["dist_dpose"], recording["dist_dloca"][:, PLACE])
    return terms(expected, recording["dist_tloca"][:, DOUBT], seen)


def raw_appearances(recording: Recording) -> np.ndarray:
    """(3, 4): distances of appearances that no mask was applied to."""
    theirs, ours = (
        rules.normal(recording.variant, f"dist.{name}appe", (count, 4096))
        for name, count in (("t", 3), ("d", 4))
    )
    return np.square((theirs[:, None] - ours[None]) / 1e3).sum(axis=-1)


@recorded("appearance_distance")
def test_phalp_encodes_textures_as_recorded(recording: Recording) -> None:
    encoder = phalp_networks.appearance_encoder(recording.variant)
    ours = encoder(maps(recording.variant)).numpy()
    np.testing.assert_allclose(ours, recording["emb"], rtol=0, atol=2e-4)


@recorded("appearance_distance")
def test_phalp_compares_textures_where_both_were_seen(recording: Recording) -> None:
    ours = texture_of_all_pairs(recording.variant)
    np.testing.assert_allclose(ours, recording["r_texture"], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(ours[:3], recording["dist_A0_TPL"], rtol=1e-4, atol=1e-7)


@recorded("appearance_distance")
def test_phalp_finds_the_recorded_distances(recording: Recording) -> None:
    found = recorded_terms(recording)
    everywhere = np.ones((1, 4))
    for ours, name in (
        (found.pose, "P0"),
        (found.location, "L0"),
        (found.nearness, "N0"),
        (found.location_doubt * everywhere, "LC"),
        (found.nearness_doubt * everywhere, "NC"),
    ):
        np.testing.assert_allclose(ours, recording[f"dist_{name}_TPL"], rtol=1e-3, err_msg=name)
    np.testing.assert_allclose(raw_appearances(recording), recording["dist_A0_APL"], rtol=1e-5)


@pytest.mark.parametrize(("name", "equation"), [("EQ_010", EQ_010), ("EQ_019", EQ_019)])
@recorded("appearance_distance")
def test_phalp_finds_the_recorded_costs(recording: Recording, name: str, equation: Equation) -> None:
    texture = texture_of_all_pairs(recording.variant)[:3]
    ours = costs(equation, recorded_terms(recording), texture)
    np.testing.assert_allclose(ours, recording[f"dist_{name}_TPL"], rtol=1e-3)


@recorded("appearance_distance")
def test_in_a_new_shot_places_cost_nothing(recording: Recording) -> None:
    ours = costs(EQ_010_NEW_SHOT, recorded_terms(recording), raw_appearances(recording))
    np.testing.assert_allclose(ours, recording["dist_EQ_010_shot1"], rtol=1e-3)


def texture(colours: np.ndarray, seen: np.ndarray) -> Texture:
    return Texture.of_seen(colours[:, seen], seen.ravel())


def assert_same_map(ours: np.ndarray, theirs: np.ndarray, checks: np.ndarray) -> None:
    """Within the step that colours are kept in; errors of a sum grow with the root of their count."""
    np.testing.assert_allclose(ours[:, 8::16, 8::16], theirs, rtol=0, atol=1e-3)
    sums = np.stack([rules.checks(channel) for channel in ours])
    np.testing.assert_allclose(sums, checks, rtol=0, atol=2.0)


@recorded("appearance_distance")
def test_phalp_keeps_the_recorded_part_of_what_was_seen(recording: Recording) -> None:
    (raw,) = rules.app_raw(recording.variant)
    ours = texture(COLOUR_SHARE * raw[:3], raw[3] != 0).map()
    assert_same_map(ours, recording["process_uv_sub16"], recording["process_uv_checks"])


@recorded("appearance_distance")
def test_phalp_mixes_textures_as_recorded(recording: Recording) -> None:
    seen = [texture(each[:3], each[3] > 0) for each in maps(recording.variant).numpy()]
    kept = seen[0]
    for number, score, checks in zip(
        (1, 2, 3, 1), (0.95, 0.85, 0.99, 1.0), recording["mix_checks"], strict=True
    ):
        kept = kept.mixed(seen[number], score=score)
        sums = np.stack([rules.checks(channel) for channel in kept.map()])
        np.testing.assert_allclose(sums, checks, rtol=0, atol=2.0)
    assert_same_map(kept.map(), recording["mix_last_sub16"], recording["mix_checks"][-1])


def people(*depths: float) -> People:
    count = len(depths)
    places = np.stack([np.full(count, 0.5), np.full(count, 0.5), depths], axis=1)
    return People(np.zeros((count, 229), np.float32), places.astype(np.float32))


def test_a_pair_of_which_something_is_not_known_is_impossible() -> None:
    doubts = np.array([[0.1, 0.1, np.nan], [0.1, 0.1, 1.1]], np.float32)
    found = costs(EQ_019, terms(people(10, 10), doubts, people(10, -10)), 0.0)
    np.testing.assert_array_equal(found, [[np.inf, np.inf], [1, np.inf]])


def test_whoever_may_be_anywhere_costs_little_wherever_he_is() -> None:
    sure, unsure = [0.01, 0.01, 1.0], [np.inf, np.inf, np.inf]
    elsewhere = people(20)._replace(places=np.array([[0.8, 0.5, 20]], np.float32))
    found = costs(EQ_019, terms(people(10, 10), np.array([sure, unsure], np.float32), elsewhere), 0.0)
    assert found[0] > 100
    assert found[1] < 3
