"""The simulated Halo runs runbook documents as Halo does: an executor of its own, made after the facts and sharing no code with the worker's."""
