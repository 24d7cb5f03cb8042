"""What a route file may say: models, loader, expressions, and the plain objects that the flows work with."""
