"""One picture to one answer: its header checked, the broker asked, the result written by the contract."""

import time

import msgspec

from http_edge import contract, results
from http_edge.asking import Asking
from http_edge.callers import Anybody
from http_edge.contract import Style
from http_edge.formats import Body
from http_edge.intake import Intake
from http_edge.metrics import FrameMetrics
from http_edge.topology import BodyFile
from wire import images
from wire.images import Header
from wire.line import Lines
from wire.messages import Frame, Options, Source
from wire.requests import new_request_id
from wire.settings import Settings


class Posing:
    """For many threads at a time."""

    def __init__(self, settings: Settings, broker: Lines, metrics: FrameMetrics, body: BodyFile) -> None:
        self._settings = settings
        self._metrics = metrics
        self._body = body
        self._ask = Asking(broker, metrics)

    def __call__(
        self,
        asked: Intake,
        *,
        session_id: str | None,
        caller: Anybody,
        address: str,
        style: Style,
        arrived: float,
        within_s: float,
    ) -> Body:
        """The body of a 200; `arrived` is `time.perf_counter`'s. Raises every `PoseError` of the contract."""
        caller.charge_frame(session_id)
        header = images.check(asked.image, max_pixels=self._settings.max_image_pixels)
        frame = _frame(
            asked,
            header,
            session_id=caller.wire_session(session_id),
            client=caller.origin(address),
            style=style,
            within_s=within_s,
        )
        result, payload = self._ask(frame, asked.image, header)
        if session_id is None:
            caller.opened(result.session_id)
        else:  # as its caller knows it
            result = msgspec.structs.replace(result, session_id=session_id)
        topology = self._body.topology()
        people = results.read(result, payload, topology=topology, meshes=style.meshes)
        elapsed_ms = (time.perf_counter() - arrived) * 1e3
        body = contract.answer(people, topology=topology, style=style, elapsed_ms=elapsed_ms)
        self._metrics.done(result)
        return body


def _frame(
    asked: Intake, header: Header, *, session_id: str | None, client: str, style: Style, within_s: float
) -> Frame:
    return Frame(
        request_id=new_request_id(),
        frame_number=asked.frame_number,
        deadline_ms=max(1, round(within_s * 1e3)),
        session_id=session_id,
        source=Source(client=client, width_px=header.width, height_px=header.height),
        options=Options(
            visualize=asked.visualize,
            full_people=style.meshes == "everyone",
            meshes=style.meshes != "none",
            joined=True,
            boxes=asked.boxes,
            target=asked.target,
        ),
        timestamp_ms=asked.timestamp_ms,
        fps=asked.fps,
    )
