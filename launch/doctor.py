"""What this machine has: devices, versions, and which extras are missing."""

import argparse
import importlib.metadata
import importlib.util
import platform
import sys

from launch.main import run

PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "tensorflow-datasets",
    "transformers",
    "numpy",
)
EXTRAS = {
    "dicom": ("pydicom", "gdcm"),
    "test": ("pytest", "hypothesis", "xdist"),
    "torch": ("torch",),
    "serve": ("starlette", "uvicorn"),
    "tpu": ("libtpu",),
    "gpu": ("jax_cuda13_plugin",),
    "dev": ("ruff",),
}


def main(argv: list[str]) -> int:
    """Print the report; exit 0 also where extras are missing, since none is needed for the main job."""
    parser = argparse.ArgumentParser(prog="unimedvlp doctor", description=__doc__, epilog="example: unimedvlp doctor")
    parser.parse_args(argv)
    import jax

    import unimedvlp

    print(f"unimedvlp {unimedvlp.__version__}, Python {platform.python_version()}, {platform.platform()}")
    for name in PACKAGES:
        print(f"  {name:<20}{importlib.metadata.version(name)}")
    devices = jax.devices()
    kinds = sorted({device.device_kind for device in devices})
    print(f"devices: {len(devices)} x {', '.join(kinds)} (backend {jax.default_backend()}, host {jax.process_index()})")
    for extra, modules in EXTRAS.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        state = f"missing ({', '.join(missing)}): pip install 'unimedvlp[{extra}]'" if missing else "ok"
        print(f"extra {extra:<7}{state}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
