"""Every benchmark, one after the other: `python -m bench`."""

import runpy

#: From the smallest part to the whole.
BENCHES = (
    "body",
    "render",
    "blazepose",
    "detectors",
    "hmr2",
    "fit",
    "store",
    "broker",
    "transport",
    "edge",
    "service",
    "renewal",
    "bulk",
    "bulk_echo",
    "quality",
    "withheld",
    "two_pass",
    "calibration",
    "contradictions",
    "order",
    "identity",
)


def main() -> None:
    """Run them all; each prints its own table."""
    for name in BENCHES:
        print(f"== bench.{name}", flush=True)
        runpy.run_module(f"bench.{name}", run_name="__main__")


if __name__ == "__main__":
    main()
