"""`halo-worker dead`: lists, shows, replays and discards the letters that could not be delivered to Halo."""

from worker.cli.dead.commands import dead

__all__ = ["dead"]
