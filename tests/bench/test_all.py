"""`python -m bench`: all measurements, whichever of them fails."""

import pytest

from bench import __main__ as bench


def test_a_measurement_that_fails_is_named_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "BENCHES", ("no_such_one", "timing"))

    assert bench.main() == 1

    shown = capfd.readouterr()
    assert shown.out == "== bench.no_such_one\n== bench.timing\n"
    assert shown.err.endswith("failed: no_such_one\n")
