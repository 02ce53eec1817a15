"""OpenAI's error bodies: how this half of the simulated provider says no.

Here: the refusal with its ``param`` and ``code``, and its JSON. Not here: when a refusal is due. Law: every refusal leaves
as ``{"error": {"message", "type", "param", "code"}}``.

Source: reference sheet of OpenAI's API, section 2.4; recorded refusals of 2025 and 2026. Checked 2026-11-21.
"""

from typing import Any, Final

from lowtide_simulator.errors import ApiError

TYPES: Final[dict[int, str]] = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    403: "invalid_request_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    409: "conflict_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "requests",
    498: "capacity_error",
    500: "server_error",
    502: "server_error",
    503: "server_error",
}
CODES: Final[dict[int, str]] = {401: "invalid_api_key", 429: "rate_limit_exceeded", 498: "capacity_exceeded"}
MESSAGES: Final[dict[int, str]] = {
    404: "Not found",
    429: "Rate limit reached. Please try again later.",
    500: "The server had an error while processing your request. Sorry about that!",
    503: "The server is overloaded or not ready yet.",
}
USUAL: Final = "usual"
"""Stands for the code that goes with the status."""
QUOTA: Final = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this error, "
    "read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
)


class Refusal(ApiError):
    """A refusal on its way to the client, in OpenAI's shape."""

    def __init__(
        self,
        status: int,
        message: str | None = None,
        *,
        kind: str | None = None,
        param: str | None = None,
        code: str | None = USUAL,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(
            status,
            message if message is not None else MESSAGES.get(status, "Error"),
            kind=kind or TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error"),
            headers=headers,
        )
        self.param = param
        self.code = CODES.get(status) if code == USUAL else code

    def to_json(self) -> dict[str, Any]:
        """The JSON body."""
        return error_json(self.message, self.kind, self.param, self.code)


def error_json(message: str, kind: str, param: str | None, code: str | None) -> dict[str, Any]:
    """One error object, as it stands in a reply and in a batch's error line."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def insufficient_quota() -> Refusal:
    """The 429 that never lifts."""
    return Refusal(429, QUOTA, kind="insufficient_quota", code="insufficient_quota")
