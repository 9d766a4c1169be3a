"""Detect faces, track them through a video, and select the one that speaks."""
