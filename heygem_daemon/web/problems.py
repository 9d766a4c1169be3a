"""The errors of the HTTP interface: a stable code, a status, a sentence and a hint in the caller's language."""

from typing import Final

PROBLEMS: Final[dict[str, int]] = {
    "login_required": 401,
    "wrong_password": 401,
    "too_many_attempts": 429,
    "administrator_only": 403,
    "foreign_origin": 403,
    "unknown_host": 421,
    "not_found": 404,
    "method_not_allowed": 405,
    "request_too_large": 413,
    "request_timeout": 408,
    "invalid_request": 422,
    "no_such_file": 404,
    "bad_name": 422,
    "unsupported_type": 422,
    "empty_file": 422,
    "two_scripts": 422,
    "script_unmatched": 422,
    "file_in_use": 409,
    "bad_option": 422,
    "consent_missing": 422,
    "no_recording": 422,
    "no_videos": 422,
    "draft_incomplete": 409,
    "offset_mismatch": 409,
    "wrong_state": 409,
    "upload_locked": 423,
    "upload_too_large": 413,
    "too_many_files": 413,
    "too_many_uploads": 429,
    "too_many_streams": 429,
    "checksum_mismatch": 460,
    "unsupported_tus_version": 412,
    "unsupported_media_type": 415,
    "disk_full": 507,
    "permission_denied": 403,
    "inbox_offline": 503,
    "outputs_offline": 503,
    "share_timeout": 503,
    "preview_failed": 422,
    "preview_busy": 503,
    "preview_models_missing": 424,
    "internal": 500,
}
"""Every code with its HTTP status. The sentences are `problem.<code>` and `problem.<code>.hint` in locales/."""


class WebProblem(Exception):  # noqa: N818 - it is an answer to a request
    """A request that cannot be served. `fields` fill the sentence; `headers` go into the answer."""

    def __init__(self, code: str, *, headers: dict[str, str] | None = None, **fields: object) -> None:
        super().__init__(code)
        self.code = code
        self.status = PROBLEMS[code]
        self.fields = fields
        self.headers = headers or {}
