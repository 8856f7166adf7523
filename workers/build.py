"""Which parts make a worker: the one place that knows them all."""

import logging
import time
from dataclasses import dataclass
from typing import Any

from body.model import Body
from wire.errors import ModelNotLoaded
from wire.settings import Settings
from workers import answers, assets
from workers.blazepose import build as blazepose
from workers.lmdb_store import LmdbStore
from workers.observer import Eyes
from workers.phalp.learned.build import Phalp, open_phalp
from workers.phalp.tracker import Tracker
from workers.pipeline import FrameAnswer, Pipeline
from workers.sessions import Codec, Sessions
from workers.store import Store
from workers.tracker import StateT

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """A pipeline ready to fold frames, its body, and what `/health` says of it."""

    pipeline: Pipeline[Any]  # which state depends on the settings
    body: Body
    device: str
    models: dict[str, str]


def build(settings: Settings, *, index: int = 0) -> Parts:
    """Load the networks and the body of worker `index`.

    Raises `ModelNotLoaded` naming the file, the library or the device that is missing or wrong.
    """
    if settings.observer == "hmr2":
        eyes, phalp = _with_hmr2(settings, index=index)
    else:
        follows_by_phalp(settings)  # refuses what cannot be
        eyes, phalp = blazepose.eyes(settings), None
    embedded = Tracker(joints_of=eyes.body.joints, max_people=settings.max_people)
    return Parts(
        pipeline=Pipeline(
            observer=eyes.observer,
            tracker=phalp.tracker if phalp else embedded,
            body=eyes.body,
            max_image_pixels=settings.max_image_pixels,
            max_boxes=settings.max_people,
        ),
        body=eyes.body,
        device=eyes.device,
        models=eyes.models | (phalp.models if phalp else {}),
    )


def follows_by_phalp(settings: Settings) -> bool:
    """Whether PHALP follows people, and not the embedded tracker; the log says why not, where it might.

    Raises `ModelNotLoaded` where PHALP is asked for and cannot be.
    """
    if settings.tracker == "embedded" or (settings.tracker == "auto" and settings.observer != "hmr2"):
        return False
    if settings.observer != "hmr2":
        raise ModelNotLoaded("POSE_TRACKER=phalp follows what HMR2 sees; set POSE_OBSERVER=hmr2 as well")
    directory = assets.directory(settings)
    missing = [asset.name for asset in assets.in_groups(["phalp"]) if not assets.find(asset, directory)]
    if not missing:
        return True
    how = f"{', '.join(missing)} missing in {directory}; run: python -m workers.assets fetch phalp"
    if settings.tracker == "phalp":
        raise ModelNotLoaded(f"POSE_TRACKER=phalp: {how}")
    log.warning("the embedded tracker follows people, not PHALP's: %s", how)
    return False


def _with_hmr2(settings: Settings, *, index: int) -> tuple[Eyes, Phalp | None]:
    """The HMR2 observer, and PHALP's tracker where it is the one."""
    learned = follows_by_phalp(settings)
    try:
        from workers.hmr2 import build as hmr2  # torch is not there where nobody asked for HMR2
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ModelNotLoaded("POSE_OBSERVER=hmr2 needs torch; run: pip install '.[hmr2]'") from error
    phalp = open_phalp(settings, index=index) if learned else None
    return hmr2.eyes(settings, index=index, phalp=phalp), phalp


def open_store(settings: Settings, tracker: str, *, index: int) -> Store:
    """Where worker `index` keeps its sessions.

    Shapes and colours are those of one observer's body, and states those of one tracker: nobody reads what
    another pair stored. Raises `OSError`, `lmdb.Error` where there is no place for it on this machine,
    `ValueError` for a server's URL that cannot be, `ModelNotLoaded` where the library for it is missing.
    """
    space = f"{settings.observer}-{tracker}"
    if settings.store_url:
        return _remote_store(settings, space)
    return LmdbStore(
        settings.store_directory() / space,
        index=index,
        max_bytes=settings.store_max_bytes,
        kept_answers=kept_answers(settings),
        idle_s=settings.session_idle_s,
        now=time.time(),
    )


def _remote_store(settings: Settings, space: str) -> Store:
    try:
        from workers.redis_store import RedisStore  # not there where nobody asked for it
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise ModelNotLoaded("POSE_STORE_URL needs redis; run: pip install '.[remote]'") from error
    return RedisStore(
        settings.store_url,
        space,
        kept_answers=kept_answers(settings),
        idle_s=settings.session_idle_s,
        timeout_s=settings.store_timeout_s,
    )


def sessions(settings: Settings, pipeline: Pipeline[StateT], store: Store) -> Sessions[StateT, FrameAnswer]:
    """The sessions that `pipeline` folds."""
    return Sessions(
        store=store,
        start=pipeline.start,
        states=Codec(lambda state: state.to_bytes(), pipeline.tracker.read_state),
        answers=Codec(answers.to_bytes, answers.from_bytes),
        kept_answers=kept_answers(settings),
    )


def kept_answers(settings: Settings) -> int:
    """Answers kept of a session: at least those that a worker that ends may not have got rid of."""
    return max(settings.kept_answers, settings.worker_credits)
