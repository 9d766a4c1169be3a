"""How one presenter speaks: measured from their own video, applied to the motion of a driver."""
