"""The Halo API over HTTP: tokens, the request budget, and the outcome of each exchange."""
