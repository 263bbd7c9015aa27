"""State, step, loop, optimiser, checkpoints and telemetry; knows of a system only its `init` and `loss`."""
