"""Records the answers of a real Halo, without personal data, and serves them again."""
