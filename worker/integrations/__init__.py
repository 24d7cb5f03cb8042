"""Custom integrations: calls to other APIs, restricted to the hosts that their configuration names."""
