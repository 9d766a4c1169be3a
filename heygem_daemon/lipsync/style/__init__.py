"""How a presenter speaks, estimated from the presenter's own video, and whether an audio track belongs to a mouth."""
