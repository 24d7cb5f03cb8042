"""Records what a real Halo answers, without personal data, and serves it again."""
