"""Faces, stills, waveforms and playable copies: asked of a child process, kept for a while."""
