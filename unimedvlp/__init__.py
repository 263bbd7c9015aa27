"""unimedvlp: medical vision-language pre-training, prompt tuning, evaluation and export in JAX."""

__version__ = "0.1.0"
