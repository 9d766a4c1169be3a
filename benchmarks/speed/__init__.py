"""What a lip sync costs: `make bench` measures it beside a plain transcode, `make bench-check` compares that with a baseline.

`make bench-gpu` measures a card.
"""
