"""State in the broker: the baton of each subscriber, the stream of its known records, and the claims of all replicas."""
