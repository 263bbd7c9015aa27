"""Weights to and from the names and layouts of Hugging Face PyTorch models; PyTorch itself is not needed."""
