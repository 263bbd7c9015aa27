"""Launchers for pods and clusters: shell scripts and manifests, and `host`, which each of them starts on every host."""
