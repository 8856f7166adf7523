"""One line of the doctor's report."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do (empty where nothing is)."""

    subject: str
    verdict: Verdict
    found: str
    remedy: str = ""


def gb(count: int) -> str:
    """Bytes as people say them."""
    return f"{count / 1e9:.1f} GB"
