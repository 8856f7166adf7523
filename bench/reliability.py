"""Stated against measured errors: a table and a picture that show whether the stated ones hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BINS: Final = 10
#: A bin with fewer answers says nothing.
MIN_SAMPLES: Final = 30
#: How far a stated error may be from the measured one, as a share of it.
TOLERANCE: Final = 0.2

_SIDE_PX: Final = 300
_MARGIN_PX: Final = 48
_COLOURS: Final = ("#1f6fb4", "#d1652b")


@dataclass(frozen=True, slots=True)
class Bin:
    """The answers whose stated errors are alike: means of both."""

    samples: int
    stated: float
    measured: float

    @property
    def off(self) -> float:
        """How far the stated error is from the measured one, as a share of it."""
        return self.stated / self.measured - 1


def bins(stated: Floats, measured: Floats) -> list[Bin]:
    """`BINS` bins of as many answers each, by rising stated error (N,); fewer where there are few answers."""
    order = np.argsort(stated, kind="stable")
    rows = [part for part in np.array_split(order, BINS) if len(part) >= MIN_SAMPLES]
    return [Bin(len(part), float(stated[part].mean()), float(measured[part].mean())) for part in rows]


def worst(found: Sequence[Bin]) -> float:
    """The largest share by which a bin's stated error is off, either way."""
    return max(abs(one.off) for one in found)


def table(name: str, found: Sequence[Bin], unit: str) -> str:
    """Stated and measured errors of the bins, in rows."""
    rows = (
        ("stated", [f"{one.stated:7.1f}" for one in found]),
        ("measured", [f"{one.measured:7.1f}" for one in found]),
        ("off", [f"{one.off:+7.0%}" for one in found]),
    )
    lines = [f"{f'{name}, {unit}':34}{len(found)} bins, the worst {worst(found):.0%} off"]
    return "\n".join([*lines, *(f"  {label:32}{''.join(figures)}" for label, figures in rows)])


def picture(panels: Mapping[str, Mapping[str, Sequence[Bin]]]) -> str:
    """An SVG: for each of the panels, by its unit, the bins of some series, by name, on logarithmic axes."""
    width = _MARGIN_PX + len(panels) * (_SIDE_PX + _MARGIN_PX)
    height = _SIDE_PX + 2 * _MARGIN_PX
    drawn = [
        _panel(unit, series, left=_MARGIN_PX + number * (_SIDE_PX + _MARGIN_PX))
        for number, (unit, series) in enumerate(panels.items())
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
            f' height="{height}" font-family="sans-serif" font-size="11" fill="#444">',
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            *drawn,
            "</svg>\n",
        ]
    )


def _panel(unit: str, series: Mapping[str, Sequence[Bin]], *, left: int) -> str:
    """One plot with its square's left edge at `left`: the diagonal, the band around it, and the bins."""
    numbers = [value for found in series.values() for one in found for value in (one.stated, one.measured)]
    low, high = min(numbers) / 1.3, max(numbers) * 1.3
    top, bottom = _MARGIN_PX, _MARGIN_PX + _SIDE_PX

    def along(value: float) -> float:
        return _SIDE_PX * float(np.log(np.clip(value, low, high) / low) / np.log(high / low))

    def point(stated: float, measured: float) -> str:
        return f"{left + along(stated):.1f},{bottom - along(measured):.1f}"

    band = np.geomspace(low, high, 40)
    # Stated is within the tolerance of measured: measured lies between stated / 1.2 and stated / 0.8.
    upper = [point(value, value / (1 - TOLERANCE)) for value in band]
    lower = [point(value, value / (1 + TOLERANCE)) for value in band[::-1]]
    parts = [
        f'<polygon points="{" ".join(upper + lower)}" fill="#e9eef3"/>',
        f'<polyline points="{point(low, low)} {point(high, high)}" fill="none" stroke="#9ab"/>',
        f'<rect x="{left}" y="{top}" width="{_SIDE_PX}" height="{_SIDE_PX}" fill="none" stroke="#888"/>',
    ]
    for tick in _ticks(low, high):
        across, up = left + along(tick), bottom - along(tick)
        parts += [
            f'<text x="{across:.1f}" y="{bottom + 14}" text-anchor="middle">{tick:g}</text>',
            f'<text x="{left - 5}" y="{up + 4:.1f}" text-anchor="end">{tick:g}</text>',
        ]
    parts += [
        f'<text x="{left + _SIDE_PX / 2}" y="{bottom + 32}" text-anchor="middle">stated error, {unit}</text>',
        f'<text x="{left}" y="{top - 10}">measured error, {unit}</text>',
    ]
    for number, (name, found) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        marks = [point(one.stated, one.measured).split(",") for one in found]
        line = " ".join(f"{x},{y}" for x, y in marks)
        label = top + 18 + 16 * number
        parts += [
            f'<polyline points="{line}" fill="none" stroke="{colour}"/>',
            *(f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>' for x, y in marks),
            f'<circle cx="{left + 12}" cy="{label - 4}" r="3.5" fill="{colour}"/>',
            f'<text x="{left + 22}" y="{label}">{name}</text>',
        ]
    return "\n".join(parts)


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten within bounds."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    return [
        tick for tick in (step * 10.0**power for power in powers for step in (1, 2, 5)) if low <= tick <= high
    ]
