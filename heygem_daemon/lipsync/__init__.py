"""Lip-sync as a library: a recording and a video in, the presenter speaking it out (`pipeline`). Knows no jobs."""

import os

# Threads of torch that wait by spinning take the cores from ffmpeg and from each other: on two busy cores drawing took 45 s
# where it takes 5.6 s when they sleep instead. The library reads this once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
