"""Pictures and bodies with bytes changed, cut, repeated or cut off: answered, or refused by name."""

import base64
import json
from collections import Counter

import numpy as np

from tests.contract.running import Service
from tests.pictures import ACCEPTED, mangled

BOUNDARY = "a-boundary"
_JSON = "application/json"
_FORM = f"multipart/form-data; boundary={BOUNDARY}"

_SEED = 20

#: What is mutated, the status and the code of its answer.
Counts = Counter[tuple[str, int, str]]


def send_mutated(running: Service, *, count: int) -> tuple[Counts, list[str]]:
    """How `count` of them were answered, and those whose answers were neither a pose nor a named 4xx."""
    random = np.random.default_rng(_SEED)
    pictures = [encoded for encoded, _ in ACCEPTED.values()]
    answers: Counts = Counter()
    wrong = []
    for number in range(count):
        picture = pictures[number % len(pictures)]
        kind, media_type, body = _request(number, picture, random)
        reply = running.request("POST", "/pose/hybrid", body, {"Content-Type": media_type})
        code = reply.body.get("code", "")
        answers[kind, reply.status, code] += 1
        if reply.status != 200 and not (400 <= reply.status < 500 and code):
            wrong.append(f"{kind}: {reply.status} {reply.raw[:200]!r} for {body!r}")
    return answers, wrong


def _request(number: int, picture: bytes, random: np.random.Generator) -> tuple[str, str, bytes]:
    """What is mutated, the media type and the body; by turns."""
    match number % 4:
        case 0:
            return "picture in JSON", _JSON, json_body(number, mangled(picture, random))
        case 1:
            return "picture in a form", _FORM, form_body(number, mangled(picture, random))
        case 2:
            return "JSON", _JSON, mangled(json_body(number, picture), random)
    return "form", _FORM, mangled(form_body(number, picture), random)


def json_body(number: int, picture: bytes) -> bytes:
    """A request for a picture, with nearly all that it may say."""
    fields = {"session_id": f"mutated-{number}", "frame_number": 3, "visualize": False, "fps": 29.97}
    places = {"boxes": [[1, 2, 30, 20]], "target": {"x": 8, "y": 9}, "timestamp_ms": 100.5}
    return json.dumps({**fields, **places, "image_base64": base64.b64encode(picture).decode()}).encode()


def form_body(number: int, picture: bytes) -> bytes:
    """The same in a form, between `BOUNDARY`s."""
    texts = {
        "sessionId": f"mutated-{number}",
        "frameNumber": "3",
        "fps": "29.97",
        "boxes": "[[1, 2, 30, 20]]",
    }
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode()
        for name, text in texts.items()
    ]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="frame"; filename="1.png"\r\n\r\n'.encode()
    return b"".join([*parts, head, picture, f"\r\n--{BOUNDARY}--\r\n".encode()])
