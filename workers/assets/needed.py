"""Which groups of model files the settings call for."""

from wire.settings import Settings
from workers.assets.catalogue import DEFAULT_GROUP


def needed_groups(settings: Settings) -> tuple[str, ...]:
    """The groups that workers with these settings read; PHALP's also where they would do without it."""
    if settings.observer == "blazepose":
        return (DEFAULT_GROUP,)
    detector = DEFAULT_GROUP if settings.detector == "blazepose" else "detectors"
    return ("hmr2", detector) if settings.tracker == "embedded" else ("hmr2", detector, "phalp")
