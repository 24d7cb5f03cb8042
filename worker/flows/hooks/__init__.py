"""Webhooks and endpoints: what is received, what it starts, and how Halo is told to call."""
