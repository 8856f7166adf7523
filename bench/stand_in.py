"""The worker's own loop, sessions and store around a pipeline that stands where the networks stand."""

import os
from collections.abc import Callable
from contextlib import closing
from typing import Any

import zmq

from wire import lending
from wire.messages import Ready
from wire.settings import Settings
from workers import answers
from workers.brokers import Brokers
from workers.loop import WorkerLoop
from workers.sessions import Codec, Sessions
from workers.store import Store
from workers.watchdog import Watchdog


def serve(
    pipeline: Any,
    *,
    states: Codec[Any],
    store: Store,
    settings: Settings,
    index: int,
    stopping: Callable[[], bool],
) -> None:
    """Be worker `index` until `stopping`, and close the store.

    `pipeline` has what the loop asks of `workers.pipeline.Pipeline`; its states are stored by `states`.
    """
    name = pipeline.observer.name
    ready = Ready(
        name=f"{name}-{index}-{os.getpid()}",
        credits=settings.worker_credits,
        device="none",
        models={},
        observer=name,
        memory=lending.memory(),
    )
    with zmq.Context() as context, closing(store), closing(Brokers(context, settings)) as brokers:
        WorkerLoop(
            brokers=brokers,
            pipeline=pipeline,
            sessions=Sessions(
                store=store,
                start=pipeline.start,
                states=states,
                answers=Codec(answers.to_bytes, answers.from_bytes),
                kept_answers=settings.kept_answers,
            ),
            ready=ready,
            watchdog=Watchdog(),
            settings=settings,
        ).run(stopping)
