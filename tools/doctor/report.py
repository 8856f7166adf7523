"""The findings as lines for people, or as JSON for programs."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from tools.doctor.finding import Finding


def lines(findings: Iterable[Finding]) -> Iterator[str]:
    """A line a finding, and one more for what to do."""
    for finding in findings:
        yield f"{finding.verdict:4}  {finding.subject:18}  {finding.found}"
        if finding.remedy:
            yield f"      {'':18}  -> {finding.remedy}"


def as_json(findings: Sequence[Finding]) -> str:
    """`{"healthy": ..., "findings": [...]}`."""
    return json.dumps(
        {"healthy": healthy(findings), "findings": [asdict(finding) for finding in findings]}, indent=2
    )


def healthy(findings: Iterable[Finding]) -> bool:
    """Whether nothing fails."""
    return all(finding.verdict != "fail" for finding in findings)
