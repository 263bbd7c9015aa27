"""What every host of a pod runs: `unimedvlp train`, with an exit status that says whether to start it again.

    0  the run is at its last step
    2  a person must mend something: the config, the data, the environment
   75  stopped by SIGTERM (preemption, time limit) after saving: the same command goes on from there
other  a crash, or another host was lost: the same command goes on from the newest checkpoint
"""

import os
import socket
import sys
from collections.abc import Mapping, Sequence

from launch import train
from launch.main import run
from unimedvlp.errors import UserError

TRY_AGAIN = 75
SHOWN = ("UNIMEDVLP_", "JAX_", "XLA_", "LIBTPU_", "TPU_", "MEGASCALE_", "NCCL_", "SLURM_NTASKS", "SLURM_PROCID")


def main(argv: list[str]) -> int:
    """Train with the arguments of `unimedvlp train`; a stop by a signal, which it calls a success, becomes TRY_AGAIN."""
    refuse_urls(argv)
    refuse_stale(os.environ)
    shown = (f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith(SHOWN))
    print(f"host {socket.gethostname()}:", *shown, flush=True)
    try:
        return train.main(argv)
    except SystemExit as stop:
        raise SystemExit(stop.code or TRY_AGAIN) from None


def refuse_urls(argv: Sequence[str]) -> None:
    """Raises UserError for a bucket given by its URL: a local folder of that name would silently be made instead."""
    for argument in argv:
        if "gs://" in argument:
            raise UserError(f"{argument} is a URL: mount the bucket with gcsfuse and give the folder (docs/scaling.md)")


def refuse_stale(environ: Mapping[str, str]) -> None:
    """Raises UserError for variables, left over from another job, that would make the hosts wait for each other forever."""
    if environ.get("UNIMEDVLP_COORDINATOR") == "auto":
        for name in ("UNIMEDVLP_NUM_PROCESSES", "UNIMEDVLP_PROCESS_ID", "JAX_COORDINATOR_ADDRESS"):
            if name in environ:
                raise UserError(f"{name}={environ[name]} contradicts UNIMEDVLP_COORDINATOR=auto; unset one of them")
    found, expected = environ.get("MEGASCALE_NUM_SLICES"), environ.get("UNIMEDVLP_SLICES", "1")
    if found not in (None, expected):
        raise UserError(
            f"MEGASCALE_NUM_SLICES={found}, but this run has {expected} (UNIMEDVLP_SLICES): if it is left over from "
            "another job, unset all MEGASCALE_ variables"
        )


if __name__ == "__main__":
    sys.exit(run(main))
