"""Amdahl's law: the serial share of a run on one core, from its times on one and on two, and the time on more."""


def serial_share(one: float, two: float) -> float:
    """Return the share (0-1) of the work on one core that a second core does not shorten.

    one, two: wall-clock s on one and on two cores. t(n) = t(1) (s + (1 - s) / n) gives s = 2 t(2) / t(1) - 1.
    """
    return min(1.0, max(0.0, 2 * two / one - 1))


def speed_up(share: float, cores: int) -> float:
    """Return t(1) / t(cores) by Amdahl's law."""
    return 1 / (share + (1 - share) / cores)
