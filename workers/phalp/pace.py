"""How many frames went by between two frames: by their times where both are known, else by their numbers.

Pure. A number says in which order frames came, a time when they were taken: where the two disagree, times
count. Motion, age and confidence are all reckoned in frames, so a step is a whole number of frames of the
video's usual rate: half a frame is less than what detections are off by.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from workers.tracker import FrameFacts

Times = npt.NDArray[np.float64]

#: A longer step by time is a cut: nobody unseen is remembered for longer, so motion says nothing over it.
LONGEST_STEP: Final = 50

#: Latest frame times that are remembered; their median is the usual one, so a dropped span changes nothing.
REMEMBERED: Final = 9

#: Of a session that has seen nothing.
NO_TIMES: Final = np.zeros(0)


@dataclass(frozen=True, slots=True, eq=False)
class Pace:
    """What a session remembers of time.

    last_frame, last_ms: number and time of its last frame; None: no frame yet, no time said. frame_ms (N,):
    from one number to the next over the latest steps forward, milliseconds, the oldest first.
    """

    last_frame: int | None
    last_ms: float | None
    frame_ms: Times

    def step_to(self, facts: FrameFacts) -> tuple[int, bool]:
        """Frames since the last one, and whether time went forward: else nothing is known of the motion.

        Numbers count without times for both frames, and where the clock stands still: who gives every frame
        one time says nothing by it. Time that goes back, or on by more than `LONGEST_STEP`, is a cut.
        """
        if self.last_frame is None:
            return 1, True
        numbers = facts.frame_number - self.last_frame
        elapsed_ms = self._elapsed_ms(facts)
        if not elapsed_ms:
            return (numbers, True) if numbers > 0 else (1, False)
        if elapsed_ms < 0:
            return 1, False
        usual_ms = self._usual_ms(facts, now_ms=elapsed_ms / max(numbers, 1))
        if elapsed_ms > LONGEST_STEP * usual_ms:
            return 1, False
        return max(round(elapsed_ms / usual_ms), 1), True

    def after(self, facts: FrameFacts) -> "Pace":
        """What is remembered once the frame was folded."""
        numbers = 0 if self.last_frame is None else facts.frame_number - self.last_frame
        elapsed_ms = self._elapsed_ms(facts) or 0.0
        learned = [elapsed_ms / numbers] if elapsed_ms > 0 and numbers > 0 else []
        return Pace(facts.frame_number, facts.timestamp_ms, np.append(self.frame_ms, learned)[-REMEMBERED:])

    def _elapsed_ms(self, facts: FrameFacts) -> float | None:
        if facts.timestamp_ms is None or self.last_ms is None:
            return None
        return facts.timestamp_ms - self.last_ms

    def _usual_ms(self, facts: FrameFacts, *, now_ms: float) -> float:
        """How long a frame takes: as the caller says, else as it usually did, else as it does now."""
        if facts.fps is not None:
            return 1e3 / facts.fps
        # The lower one of two: of a step over a gap and one without, the latter is the frame's.
        return float(np.quantile(self.frame_ms, 0.5, method="lower")) if len(self.frame_ms) else now_ms
