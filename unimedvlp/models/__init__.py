"""Flax Linen modules: encoders, decoder and generation. No losses, no data, no configuration files."""
