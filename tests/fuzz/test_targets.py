"""Whatever bytes come: parsers read them or refuse them by name. `python -m tests.fuzz` tries many more."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, Target
from tests.pictures import mangled

EXAMPLES = 150


@pytest.fixture(params=TARGETS.values(), ids=list(TARGETS), scope="module")
def target(request: pytest.FixtureRequest) -> Target:
    found: Target = request.param
    return found


def test_a_parser_accepts_what_others_are_made_from(target: Target) -> None:
    assert all(target(seed) for seed in target.seeds)


@settings(max_examples=EXAMPLES, deadline=None)
@given(content=st.binary(max_size=400))
@example(content=b"")
def test_any_bytes_are_read_or_refused(target: Target, content: bytes) -> None:
    target(content)


@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_what_is_nearly_right_is_read_or_refused(target: Target, seed: int, data: st.DataObject) -> None:
    content = data.draw(st.sampled_from(list(target.seeds)))
    target(mangled(content, np.random.default_rng(seed)))
