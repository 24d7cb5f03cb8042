"""Evaluates expressions in separate processes that the worker can stop: data that breaks the engine ends such a process, not the worker."""
