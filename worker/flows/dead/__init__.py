"""Dead letters: read without changes, replayed, or discarded."""
