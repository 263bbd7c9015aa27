"""Systems, one file a paper."""

from unimedvlp.systems.base import System, build, names

__all__ = ["System", "build", "names"]
