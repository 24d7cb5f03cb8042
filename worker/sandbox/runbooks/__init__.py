"""The simulated Halo runs runbook documents like Halo: a separate executor, built from known facts, that shares no code with the worker's."""
