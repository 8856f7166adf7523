"""The README's answer has the fields that an answer has."""

import json
import re
from pathlib import Path

from tests.http_edge.running import Edge, picture

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_readmes_answer_has_every_field_of_an_answer_and_no_other(edge: Edge) -> None:
    example = re.search(r"```json\n(.*?)```", README, re.DOTALL)
    assert example is not None
    shown = json.loads(example[1])
    told = edge.pose(picture(), session_id="crowd:readme").body

    assert shown.keys() == told.keys()
    assert shown["tracking"].keys() == told["tracking"].keys()
    assert shown["keypoints"][0].keys() == told["keypoints"][0].keys()
