"""What the facts mean: each check says what is well, what may hurt, what will not work, and what to do.

Pure functions of the facts; every one yields its findings.
"""

from collections.abc import Callable, Iterator
from typing import Final

from tools.doctor import backend, machine, places
from tools.doctor.facts import Facts
from tools.doctor.finding import Finding


def examine(facts: Facts) -> list[Finding]:
    """Every finding, in the order in which they are worth reading."""
    return [finding for check in CHECKS for finding in check(facts)]


#: In the order of the report.
CHECKS: Final[tuple[Callable[[Facts], Iterator[Finding]], ...]] = (
    machine.python,
    machine.settings,
    places.files,
    places.port,
    places.runtime_dir,
    places.store,
    places.assets_dir,
    machine.devices,
    machine.processors,
    machine.memory,
    machine.shared_memory,
    machine.open_files,
    machine.allocator,
    machine.clock,
    backend.address,
    backend.queue,
    backend.patience,
    backend.speed,
    backend.quality,
    backend.order,
)
