"""Evaluates expressions in processes of their own, which can be stopped: what data does to the engine ends there, not in the worker."""
