"""Dashboard, alert rules and `docs/operations.md` name metrics, labels, settings and alerts that exist."""

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.http_edge.running import Edge, picture, wait_for
from wire.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "operations"
PAGE = (ROOT / "docs" / "operations.md").read_text()

ALERTS = [
    rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
PANELS = json.loads((FOLDER / "grafana.json").read_text())["panels"]
EXPRESSIONS = [rule["expr"] for rule in ALERTS] + [
    target["expr"] for panel in PANELS for target in panel["targets"]
]

_SELECTOR = re.compile(r"(everyframe_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)(=~|=)"([^"]*)"')

#: Labels whose values are all there from the start.
_CLOSED = ("event", "program", "name", "state")

Samples = dict[str, list[dict[str, str]]]


@pytest.fixture(scope="module")
def samples(edge: Edge) -> Samples:
    """Each sample that `/metrics` has after a frame and a refusal, with its labels."""
    edge.pose(picture(), session_id="crowd:operations")
    edge.request("POST", "/pose/hybrid", bytes(edge.settings.max_body_bytes + 1))
    wait_for(lambda: b'everyframe_uptime_seconds{program="broker"}' in edge.get("/metrics").raw)
    found: Samples = defaultdict(list)
    for family in text_string_to_metric_families(edge.get("/metrics").raw.decode()):
        for sample in family.samples:
            found[sample.name].append(sample.labels)
    return found


def unknown(expression: str, samples: Samples) -> list[str]:
    """What an expression selects that is not there."""
    missing = []
    for name, matchers in _SELECTOR.findall(expression):
        labelled = samples.get(name)
        if not labelled:
            missing.append(name)
            continue
        for label, operator, wanted in _MATCHER.findall(matchers):
            values = {labels.get(label) for labels in labelled}
            options = set(wanted.split("|") if operator == "=~" else [wanted])
            if None in values or (label in _CLOSED and not options <= values):
                missing.append(f"{name}{{{label}{operator}{wanted}}}")
    return missing


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_selects_what_is_there(samples: Samples, expression: str) -> None:
    assert _SELECTOR.search(expression)
    assert unknown(expression, samples) == []


@pytest.mark.parametrize(
    "expression",
    [
        "rate(everyframe_requests_total[5m])",
        'everyframe_broker_events_total{event="worker_lost"}',
        'everyframe_broker_events_total{event=~"busy|poison"}',
        'everyframe_limit{name="max_queue"}',
        'everyframe_sessions{worker="w"}',
    ],
)
def test_a_misspelt_name_would_be_found(samples: Samples, expression: str) -> None:
    assert unknown(expression, samples)


def test_every_alert_has_its_row_and_every_row_its_alert() -> None:
    rows = re.findall(r"^\| `(Everyframe\w+)` \|", PAGE, re.MULTILINE)
    assert rows == [rule["alert"] for rule in ALERTS]
    assert all(rule["labels"]["severity"] in ("page", "ticket") for rule in ALERTS)


def test_what_the_page_names_exists(samples: Samples) -> None:
    assert [text for text in re.findall(r"`([^`]*everyframe_[^`]*)`", PAGE) if unknown(text, samples)] == []
    settings = {name.removeprefix(PREFIX).lower() for name in re.findall(r"POSE_[A-Z_]+", PAGE)}
    assert settings <= set(Settings.__struct_fields__)
    links = re.findall(r"\]\(([^)#]+)", PAGE)
    assert [link for link in links if not (ROOT / "docs" / link).is_file()] == []


def test_panels_overlap_nowhere() -> None:
    places = [
        (panel["gridPos"]["x"] + column, panel["gridPos"]["y"] + row)
        for panel in PANELS
        for column in range(panel["gridPos"]["w"])
        for row in range(panel["gridPos"]["h"])
    ]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
