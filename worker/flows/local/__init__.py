"""Messages, claims and time of one process, for commands that run a route without a broker."""
