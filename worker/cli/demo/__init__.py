"""`halo-worker demo`: the sample routes, live, against the simulated Halo."""

from worker.cli.demo.command import demo

__all__ = ["demo"]
