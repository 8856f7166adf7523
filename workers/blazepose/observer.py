"""The embedded observer on one page: a frame and whom to expect in it, to observations.

It keeps nothing from frame to frame; what is known about people comes with the frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from body.model import Body
from workers.appearance import Appearance
from workers.blazepose.fit import Fit, FittedBody
from workers.blazepose.landmarks import box_around
from workers.blazepose.search import Search
from workers.blazepose.sighting import Expected, Sighting
from workers.expected import joints_px
from workers.types import Array, Image, Observation, Plan, Progress, unnoticed


@dataclass(frozen=True, slots=True, eq=False)
class _Laid:
    """A body laid over one person's landmarks, and what it looks like there: see `Observation`."""

    fitted: FittedBody
    appearance: Array
    patch_weight: Array


class BlazePoseObserver:
    """Sees people with BlazePose's networks and lays the body model over them. Not thread-safe."""

    name = "blazepose"
    model_version = "Everyframe-BlazePose"

    def __init__(self, *, search: Search, fit: Fit, appearance: Appearance, body: Body) -> None:
        self._search = search
        self._fit = fit
        self._appearance = appearance
        self._body = body

    def observe(
        self, frames: Sequence[tuple[Image, Plan]], on_progress: Progress = unnoticed
    ) -> list[list[Observation]]:
        """The people of each frame, HWC uint8 RGB; a frame's answer does not depend on its company."""
        observed = []
        for image, plan in frames:
            observed.append(self._people(image, plan))
            on_progress()
        return observed

    def _people(self, image: Image, plan: Plan) -> list[Observation]:
        expected = self._expected(image, plan)
        laid: list[_Laid] = []

        def lay(sightings: Sequence[Sighting]) -> None:
            laid.extend(self._lay(image, sighting) for sighting in sightings)

        if plan.boxes is None:
            sightings = self._search.people(image, expected, turn=plan.turn, meanwhile=lay)
        else:
            sightings = self._search.people_in(image, plan.boxes, expected)
        lay(sightings[len(laid) :])
        return [_observation(sighting, body) for sighting, body in zip(sightings, laid, strict=True)]

    def _expected(self, image: Image, plan: Plan) -> list[Expected]:
        """The plan's proposals, with their joints where the picture should show them."""
        height, width = image.shape[:2]
        pixels = joints_px(self._body, plan.proposals, width=width, height=height)
        return [Expected(one, at) for one, at in zip(plan.proposals, pixels, strict=True)]

    def _lay(self, image: Image, sighting: Sighting) -> _Laid:
        """The body of one person in the picture, and what it looks like."""
        height, width = image.shape[:2]
        proposal = sighting.expected.proposal if sighting.expected else None
        fitted = self._fit.fit(
            sighting.landmarks,
            width=width,
            height=height,
            prior=proposal.pose if proposal else None,
            continuous=proposal.continuous if proposal else False,
        )
        appearance, patch_weight = self._appearance.sample(
            image, fitted.pose, visibility=fitted.joint_visibility
        )
        return _Laid(fitted, appearance, patch_weight)


def _observation(sighting: Sighting, laid: _Laid) -> Observation:
    proposal = sighting.expected.proposal if sighting.expected else None
    return Observation(
        pose=laid.fitted.pose,
        box=box_around(sighting.landmarks),
        score=sighting.landmarks.score,
        joint_visibility=laid.fitted.joint_visibility,
        appearance=laid.appearance,
        patch_weight=laid.patch_weight,
        detected=sighting.detected,
        proposal=proposal.track_id if proposal else None,
        betas_measured=laid.fitted.shape_estimate if proposal else None,
        sides_swapped=laid.fitted.flipped,
        box_index=sighting.box_index,
    )
