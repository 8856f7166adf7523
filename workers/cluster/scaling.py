"""How many workers the traffic needs: plain arithmetic on what the broker says, with time as an argument."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

OneT = TypeVar("OneT")

#: Most by which the number grows at once, until those who load show what they change.
_GROWTH = 2.0
#: Share of a rate that one more measurement counts for.
_NEW_SHARE = 0.3
#: Time in which frames that wait should be worked off, seconds: what came together while workers load is
#: no measure of what goes on coming.
_CLEAR_S = 15.0
#: Share of their time that workers are to be busy at most.
_BUSY = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What an operator allows. target_delay_s: a frame should not wait longer for a worker.

    calm_s: time with workers to spare after which one of them goes.
    """

    least: int
    most: int
    target_delay_s: float = 0.5
    calm_s: float = 60.0

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise ValueError(f"workers: {self.least}..{self.most}: from 1 on, the smaller number first")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the broker says at one time: frames that wait, that workers hold, and that were answered ever."""

    now_s: float
    workers: int
    queued: int
    in_flight: int
    answered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """What is remembered from one `Load` to the next.

    wanted: the number that was last decided on. coming: frames a second that come. rate: frames a second
    that a busy worker answers, None while nobody was busy. calm_since_s: None where nobody is to spare.
    """

    last: Load
    wanted: int
    coming: float = 0.0
    rate: float | None = None
    calm_since_s: float | None = None


def follow(trend: Trend | None, load: Load, bounds: Bounds) -> Trend:
    """The trend after `load`, with the number of workers that are wanted now."""
    if trend is None:
        return Trend(last=load, wanted=bounds.least)
    coming, rate = _measured(trend, load)
    needed = _needed(trend.wanted, load, coming, rate, bounds)
    wanted, calm_since_s = trend.wanted, None
    if needed > wanted and load.workers >= wanted:  # else some are still loading
        wanted = min(needed, math.ceil(_GROWTH * wanted))
    elif needed < wanted:
        calm_since_s = load.now_s if trend.calm_since_s is None else trend.calm_since_s
        if load.now_s - calm_since_s >= bounds.calm_s:
            wanted, calm_since_s = wanted - 1, None
    return Trend(
        last=load,
        wanted=min(max(wanted, bounds.least), bounds.most),
        coming=coming,
        rate=rate,
        calm_since_s=calm_since_s,
    )


def _measured(trend: Trend, load: Load) -> tuple[float, float | None]:
    """Frames a second that come, and that a worker answers: measured while frames wait, else as it was."""
    last, passed_s = trend.last, load.now_s - trend.last.now_s
    answered = load.answered - last.answered
    if passed_s <= 0 or answered < 0:  # a broker that was restarted counts from 0 again
        return trend.coming, trend.rate
    came = max(answered + load.queued + load.in_flight - last.queued - last.in_flight, 0) / passed_s
    coming = trend.coming + _NEW_SHARE * (came - trend.coming)
    if not (last.queued and load.queued and answered and last.workers):
        return coming, trend.rate
    rate = answered / passed_s / last.workers
    return coming, rate if trend.rate is None else trend.rate + _NEW_SHARE * (rate - trend.rate)


def _needed(wanted: int, load: Load, coming: float, rate: float | None, bounds: Bounds) -> int:
    """Workers with whom nobody waits longer than he should, once those who wait already are worked off."""
    if rate is None:
        return wanted if load.queued or load.in_flight else bounds.least
    late = load.queued - rate * load.workers * bounds.target_delay_s
    return math.ceil((coming / _BUSY + max(late, 0) / _CLEAR_S) / rate)


def dismissed(staying: Sequence[OneT], running: Collection[OneT], number: int) -> list[OneT]:
    """Which of them go: first who runs nowhere, as after the loss of a machine, then who came last."""
    last_first = staying[::-1]
    return sorted(last_first, key=lambda one: one in running)[:number]
