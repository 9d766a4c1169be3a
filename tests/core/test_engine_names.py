from heygem_daemon.core.engine_names import CHECKPOINT_ENGINES, FREE_ENGINES
from heygem_daemon.lipsync.engines import WAV2LIP_ENGINES, engine_names


def test_the_names_are_those_of_the_engines() -> None:
    assert engine_names() == (*FREE_ENGINES, *CHECKPOINT_ENGINES)
    assert set(CHECKPOINT_ENGINES) == WAV2LIP_ENGINES
