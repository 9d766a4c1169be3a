"""Why a script is not used. It never stops a job: the recording alone is enough."""

from heygem_daemon.core.warning_codes import WarningCode


class ScriptProblem(Exception):  # noqa: N818 (it is no error of the job)
    """A script is ignored; `code` is the warning that says why."""

    def __init__(self, code: WarningCode) -> None:
        super().__init__(code.value)
        self.code = code
