"""State in the broker: the baton of each subscriber and the stream of its known records."""
