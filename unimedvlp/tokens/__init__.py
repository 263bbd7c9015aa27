"""The composed discrete token space: one vocabulary for every annotation of every level."""
