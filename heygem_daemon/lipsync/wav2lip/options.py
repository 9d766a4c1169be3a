"""What an administrator decides about Wav2Lip. Nothing heavy is imported: the daemon hands it to its workers."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Wav2LipOptions:
    """checkpoint: its name, "" = the one added last; licence_confirmed: somebody has confirmed that the use here keeps to its licence;
    detail: the engine `wav2lip` lays the presenter's own skin over its picture."""

    checkpoint: str = ""
    licence_confirmed: bool = False
    detail: bool = True


NO_OPTIONS: Final = Wav2LipOptions()
RESEARCH_ONLY: Final = "research and other non-commercial use only; confirmed in the configuration"
"""What the status of a result says that was made with a checkpoint. Without the confirmation none is made."""
