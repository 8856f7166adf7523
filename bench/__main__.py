"""The measurements that docs/performance.md and docs/quality.md hold, one after the other: `python -m bench`.

Each is a process of its own, as where it is started by its name. Those that take long (`overload`, `soak`,
`bulk_chaos`, `bulk_memory`, `fleet`) or want more (`against_flask`, `phalp`, `markers`) are started so only.
"""

import argparse
import subprocess
import sys

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


def main() -> int:
    """Run them all, each prints its own table; 1 where some failed, which are named."""
    failed = []
    for name in BENCHES:
        print(f"== bench.{name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"bench.{name}"]).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m bench", description=__doc__).parse_args()
    sys.exit(main())
