"""Change detection: reads lists completely, identifies records and compares them with the known ones."""
