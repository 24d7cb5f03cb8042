"""Webhooks and endpoints: accepts deliveries, publishes their effects, and registers webhooks in Halo."""
