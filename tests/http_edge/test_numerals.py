"""Vertices as JSON are within half a tenth of a millimetre of what they were, wherever they are."""

import json

import hypothesis.extra.numpy as hnp
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_edge.numerals import vertices_json


def read(vertices: np.ndarray) -> np.ndarray:
    return np.array(json.loads(orjson.dumps(vertices_json(vertices))), dtype=np.float64).reshape(-1, 3)


@given(
    vertices=hnp.arrays(
        np.float32, st.tuples(st.integers(0, 20), st.just(3)), elements=st.floats(-3.25, 3.25, width=32)
    )
)
def test_every_body_is_written_to_a_tenth_of_a_millimetre(vertices: np.ndarray) -> None:
    assert np.abs(read(vertices) - vertices).max(initial=0) <= 0.5e-4 + 1e-6


@pytest.mark.parametrize("metres", [3.2768, -3.2768, 4.0, -1000.0])
def test_what_is_farther_than_any_body_reaches_is_written_as_well(metres: float) -> None:
    vertices = np.array([[0.5, metres, -0.25]], np.float32)

    np.testing.assert_allclose(read(vertices), vertices, atol=1e-4)


def test_every_length_of_the_table_reads_as_itself() -> None:
    units = np.arange(-32767, 32768).reshape(-1, 3)

    np.testing.assert_array_equal(read((units / 1e4).astype(np.float32)), units / 1e4)
