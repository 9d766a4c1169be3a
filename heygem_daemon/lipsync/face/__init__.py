"""Faces: found, followed through a video, and kept on disk."""
