"""Kills, pauses and restarts real processes of a real service under traffic: `python -m tools.chaos`.

Several clients send clips, first undisturbed, then while things happen to the workers and the
broker. Every frame must be answered, bit for bit as in the undisturbed run.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from client.private_service import private_service
from tools.chaos import runs, verdict
from tools.chaos.clips import clients
from tools.chaos.disturbances import Disturbed, schedule
from tools.chaos.runs import Outcome
from tools.chaos.traffic import Sent

_WORKERS = 2
_SETTINGS = {"POSE_WORKERS": str(_WORKERS)}

#: A pause is noticed by silence alone: POSE_WORKER_SILENCE_S of it, before what a kill costs.
_SILENCE_S = 5.0

#: Violations that are printed; the rest are counted.
_SHOWN = 30


def main() -> int:
    """Run both; 0 when nothing was violated."""
    given = _arguments()
    console = Console()
    given.out.mkdir(parents=True, exist_ok=True)
    logs = given.out / "undisturbed.log", given.out / "disturbed.log"
    senders = clients(frames=given.frames)
    plan = schedule(
        given.seed,
        workers=_WORKERS,
        kills=given.kills,
        restarts=given.restarts,
        broker_kills=given.broker_kills,
        pause_s=given.pause_s,
    )
    started = time.monotonic()
    with private_service(logs[0], _SETTINGS) as service:
        undisturbed = runs.undisturbed(service, senders)
    console.print(f"undisturbed: {_summary(undisturbed)}, {time.monotonic() - started:.0f} s")
    started = time.monotonic()
    with private_service(logs[1], _SETTINGS) as service:
        outcome = runs.disturbed(
            service, senders, plan, workers=_WORKERS, tell=lambda event: console.print(_line(event))
        )
    console.print(f"disturbed: {_summary(outcome.sent)}, {time.monotonic() - started:.0f} s")

    stalls_s = verdict.stalls_s(outcome.sent, outcome.disturbed)
    console.print(_table_of_clients(outcome.sent), _table_of_events(outcome.disturbed, stalls_s))
    expected = verdict.expected(undisturbed)
    found = [
        *(f"undisturbed: {violation}" for violation in verdict.violations(undisturbed, expected)),
        *verdict.violations(outcome.sent, expected),
        *_long_stalls(outcome, stalls_s, longest_s=given.longest_stall_s),
        *(f"{log} has a traceback" for log in logs if "Traceback" in log.read_text()),
        *([outcome.gave_up] if outcome.gave_up else []),
    ]
    for violation in found[:_SHOWN]:
        console.print(f"violation: {violation}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"seed {given.seed}: {len(found)} violations; the services' logs are in {given.out}")
    return 1 if found else 0


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(prog="python -m tools.chaos", description=__doc__)
    arguments.add_argument("--seed", type=int, default=1, help="of the schedule")
    arguments.add_argument("--kills", type=int, default=5, help="how often each worker is killed")
    arguments.add_argument("--restarts", type=int, default=1, help="how often each worker is restarted")
    arguments.add_argument("--broker-kills", type=int, default=2, help="how often the broker is killed")
    arguments.add_argument("--pause-s", type=float, default=20.0, help="how long a worker is paused; 0: none")
    arguments.add_argument("--frames", type=int, default=76, help="frames of each video, 76 at the most")
    arguments.add_argument("--longest-stall-s", type=float, default=5.0, help="of any client after a kill")
    arguments.add_argument("--out", type=Path, default=Path("chaos-out"), help="folder for the logs")
    return arguments.parse_args()


def _long_stalls(outcome: Outcome, stalls_s: Sequence[float], *, longest_s: float) -> Iterator[str]:
    for event, stall_s in zip(outcome.disturbed, stalls_s, strict=True):
        allowed_s = longest_s + (_SILENCE_S if event.disturbance.pause_s else 0.0)
        if stall_s >= allowed_s:
            yield f"{event.disturbance}: a client stalled for {stall_s:.1f} s; allowed are {allowed_s:.0f}"


def _summary(sent: Sequence[Sent]) -> str:
    return f"{sum(len(video.received) for video in sent)} frames in {len(sent)} videos"


def _line(event: Disturbed) -> str:
    took_s = event.whole_at_s - event.at_s
    return f"  after {event.answered} answers {event.disturbance}; whole again after {took_s:.1f} s"


def _table_of_clients(sent: Sequence[Sent]) -> Table:
    table = Table("client", "videos", "frames", "not 200", "histories")
    for name in dict.fromkeys(video.client.name for video in sent):
        mine = [video for video in sent if video.client.name == name]
        received = [answer for video in mine for answer in video.received]
        refused = sum(bool(answer.refusal) for answer in received)
        told = ", ".join(f"{count} {history}" for history, count in verdict.histories(mine).most_common())
        table.add_row(name, str(len(mine)), str(len(received)), str(refused), told)
    return table


def _table_of_events(disturbed: Sequence[Disturbed], stalls_s: Sequence[float]) -> Table:
    """Each kind of event: how often, and the median and the longest stall of any client."""
    table = Table("what", "times", "longest stall, s: median", "of all")
    kinds: dict[str, list[float]] = {}
    for event, stall_s in zip(disturbed, stalls_s, strict=True):
        kinds.setdefault(str(event.disturbance), []).append(stall_s)
    for what, stalls in sorted(kinds.items()):
        table.add_row(what, str(len(stalls)), f"{sorted(stalls)[len(stalls) // 2]:.1f}", f"{max(stalls):.1f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
