"""Measurements that docs/results.md quotes; each is one command."""
