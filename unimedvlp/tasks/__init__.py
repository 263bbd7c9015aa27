"""Tasks, one file each."""

from unimedvlp.tasks.base import Task, build, names

__all__ = ["Task", "build", "names"]
