"""Runs runbooks: a run is a message that goes from step to step."""
