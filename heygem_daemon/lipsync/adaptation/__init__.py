"""Adapt the speech driver to real people: ingest footage into a corpus, fine-tune the mappers, compare and register the weights."""
