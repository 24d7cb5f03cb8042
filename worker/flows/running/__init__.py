"""Runbooks at work: runs as messages, from step to step."""
