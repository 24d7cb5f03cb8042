"""`halo-worker demo`: the main job, live, against the simulated Halo."""

from worker.cli.demo.command import demo

__all__ = ["demo"]
