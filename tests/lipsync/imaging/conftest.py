"""The atlas of the moving portrait, and one of its frames to draw on."""

from tests.lipsync.atlas.conftest import renderer, scene

__all__ = ["renderer", "scene"]
