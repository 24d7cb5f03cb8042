"""Finding what changed: reading lists completely, recognising records, comparing them with what is known."""
