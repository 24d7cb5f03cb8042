"""Writing to Halo: a message becomes one request, at most once as far as can be known."""
