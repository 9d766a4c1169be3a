"""Wav2Lip checkpoints: detect the file format, read it without executing anything, store it converted."""
