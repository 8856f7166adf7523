"""Exports of a bulk run's videos, each as soon as it has its result; what is there is not written again."""

from pathlib import Path

from client import motion
from client.bulk import Report
from client.exports import formats
from client.exports.formats import Choice
from client.exports.scene import Unavailable
from wire.errors import PoseError


class Afterwards:
    """Writes what is wanted of every video that has a result. Any thread may use it.

    failures: what could not be written, and why.
    """

    def __init__(self, choice: Choice, assets_dir: Path) -> None:
        self._choice = choice
        self._assets_dir = assets_dir
        self.failures: list[str] = []

    def ended(self, report: Report) -> None:
        """Write what is missing of a video, or older than its result."""
        result = Path(report.result)
        if not self._choice.formats or report.state not in ("complete", "damaged") or not result.is_file():
            return
        try:
            moving = motion.load(result)
            scene = formats.scene_of(
                moving, self._choice, assets_dir=self._assets_dir, video=Path(report.video)
            )
            wanted = formats.targets(moving, self._choice, result.with_suffix(""))
            for target in wanted:
                if not _is_newer(target[2], result):
                    formats.export([target], scene)
        except (PoseError, Unavailable, ValueError, OSError) as error:
            self.failures.append(f"{result}: {error}")


def _is_newer(path: Path, result: Path) -> bool:
    return path.exists() and path.stat().st_mtime_ns >= result.stat().st_mtime_ns
