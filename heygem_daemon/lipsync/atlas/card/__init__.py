"""Draw batches of frames on a card, as `atlas.compositor` draws one on the CPU, from the same plans."""
