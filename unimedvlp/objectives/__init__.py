"""Objectives: pure functions from arrays to losses in float32."""
