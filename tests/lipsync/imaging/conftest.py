"""The atlas of the moving portrait, and one of its frames to draw on."""

from tests.lipsync.atlas.conftest import prepared, renderer, scene

__all__ = ["prepared", "renderer", "scene"]
