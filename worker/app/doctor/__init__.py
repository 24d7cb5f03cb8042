"""Checks a deployment from outside: Halo, the broker and the ports, with a remedy for each failure. Writes nothing to Halo."""
