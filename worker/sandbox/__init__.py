"""The simulated HaloITSM, for the demo, for tests and for developing routes."""
