"""Evaluates expressions in separate processes that can be stopped: data that breaks the engine ends such a process, not the worker."""
