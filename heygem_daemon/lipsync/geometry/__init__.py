"""Landmarks, head pose and the shape of a mouth, as numbers: no image, no model."""
