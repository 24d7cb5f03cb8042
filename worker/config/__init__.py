"""Route files: models, loader, expressions, and the plain objects that the flows work with."""
