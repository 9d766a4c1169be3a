"""Wav2Lip checkpoints: recognise the file format, read it without running anything, keep it converted."""
