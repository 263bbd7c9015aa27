"""What a training step will cost on hardware that is not here, by the compiler of that hardware."""
