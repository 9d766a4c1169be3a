"""PhoneticDriver keeps the contract of drivers, and hears what it was taught."""

from itertools import islice

import numpy as np
import pytest

from heygem_daemon.lipsync.speech.model import load
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.speech.weights import shipped_weights
from tests.lipsync.driver_contract import RATE, DriverContract, talk


@pytest.fixture(scope="module")
def driver():
    return PhoneticDriver(load(shipped_weights()))


class TestPhoneticDriver(DriverContract):
    """The contract, with the weights that are shipped."""
