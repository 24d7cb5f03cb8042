"""Custom integrations: calls of other APIs, to the hosts that their configuration names and to no others."""
