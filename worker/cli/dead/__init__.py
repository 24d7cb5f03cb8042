"""`halo-worker dead`: the letters that could not be delivered to Halo: listed, shown, tried anew, discarded."""

from worker.cli.dead.commands import dead

__all__ = ["dead"]
