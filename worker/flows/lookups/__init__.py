"""The lookups of expressions: rows of tables, and ids of records in Halo."""
