"""What schemathesis cannot know: what a picture is, which failures are bugs, which nonsense is answered."""

import base64
import binascii
from typing import Any

import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection

from tests.pictures import ACCEPTED

PICTURES = [base64.b64encode(encoded).decode() for encoded, _ in ACCEPTED.values()]


@schemathesis.hook
def map_body(_context: schemathesis.HookContext, body: Any) -> Any:
    """Put a real picture where made-up base64 of even length is; the rest stays as it was made."""
    if not isinstance(body, dict):
        return body
    if isinstance(body.get("frames"), list):
        return {**body, "frames": [_with_picture(frame) for frame in body["frames"]]}
    return _with_picture(body)


def _with_picture(frame: Any) -> Any:
    if not isinstance(frame, dict) or not _is_base64(made_up := frame.get("image_base64")):
        return frame
    return {**frame, "image_base64": PICTURES[len(made_up) // 4 % len(PICTURES)]}


def _is_base64(text: Any) -> bool:
    try:
        return isinstance(text, str) and len(base64.b64decode(text, validate=True)) % 2 == 0 and text != ""
    except (binascii.Error, ValueError):
        return False


@schemathesis.check
def failures_have_names(_context: Any, response: schemathesis.Response, _case: schemathesis.Case) -> None:
    """A failure of ours is one that the contract names, and not `internal`."""
    if response.status_code >= 500:
        code = response.json()["code"]
        assert code != "internal", "an internal error"


@schemathesis.check
def nonsense_is_refused(context: Any, response: schemathesis.Response, case: schemathesis.Case) -> None:
    """What the schema of a request forbids is not answered with a 200."""
    # In a form all is text: two nulls arrive as two fields `null`, which is as good as nothing. Frames of a
    # batch are refused one by one, in a 200.
    if case.media_type != "multipart/form-data" and case.operation.path != "/pose/batch":
        negative_data_rejection(context, response, case)
