"""What HMR2 would run on, as JSON: a program of its own, since the doctor itself never loads PyTorch."""

import importlib.metadata
import os
import sys

import msgspec

from tools.doctor.facts import Compute
from wire import settings as wire_settings
from workers.compute import DeviceUnavailable, decide


def main() -> None:
    """Print what PyTorch makes of the settings."""
    settings = wire_settings.load(os.environ)
    version = importlib.metadata.version("torch")
    try:
        found = decide(settings.device, settings.precision)
    except DeviceUnavailable as missing:
        answer = Compute(torch=version, device=None, described="", problem=missing.message)
    else:
        answer = Compute(torch=version, device=found.device.type, described=str(found), problem=None)
    sys.stdout.write(msgspec.json.encode(answer).decode())


if __name__ == "__main__":
    main()
