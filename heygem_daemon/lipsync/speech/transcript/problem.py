"""The reason why a transcript is not used. It never stops a job: the recording alone is enough."""

from heygem_daemon.core.warning_codes import WarningCode


class TranscriptProblem(Exception):  # noqa: N818 (it is no error of the job)
    """Raised where a transcript has to be ignored. code: the warning that gives the reason."""

    def __init__(self, code: WarningCode) -> None:
        super().__init__(code.value)
        self.code = code
