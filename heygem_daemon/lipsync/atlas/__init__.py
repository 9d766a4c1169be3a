"""Render with the mouths that the presenter's own video shows."""
