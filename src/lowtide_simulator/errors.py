"""Anthropic's error bodies: how the simulated provider says no.

Here: the one exception that carries a refusal to the edge, and the table status -> error type. Not here: when a refusal
is due (validation, limits, faults). Law: every refusal leaves in the provider's own shape,
``{"type": "error", "error": {"type", "message", "details"?}, "request_id"}``.

Source: reference sheet of the provider's API, section 2.4; recorded answers of 2025 and 2026. Checked 2026-11-21.
"""

from typing import Any, Final

ERROR_TYPES: Final[dict[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}

MESSAGES: Final[dict[int, str]] = {
    404: "Not found",
    429: "This request would exceed your organization's rate limit. Please try again later.",
    500: "Internal server error",
    504: "Request timed out",
    529: "Overloaded",
}

EDGE_413: Final = (
    b"<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n"
    b"<center><h1>413 Request Entity Too Large</h1></center>\r\n<hr><center>cloudflare</center>\r\n"
    b"</body>\r\n</html>\r\n"
)
"""What the edge answers before the API servers see a body that is too large: not JSON, and no ``request-id``."""


def error_type(status: int) -> str:
    """The provider's name for an HTTP status; an unnamed 4xx is a bad request, an unnamed 5xx its own fault."""
    return ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")


class ApiError(Exception):
    """A refusal on its way to the client.

    ``headers`` are added to the answer; ``edge`` means that the edge answers, without JSON and without ``request-id``.
    """

    def __init__(
        self,
        status: int,
        message: str | None = None,
        *,
        kind: str | None = None,
        details: dict[str, Any] | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        edge: bool = False,
    ) -> None:
        self.status = status
        self.message = message if message is not None else MESSAGES.get(status, "Error")
        self.kind = kind or error_type(status)
        self.details = details
        self.headers = headers
        self.edge = edge
        super().__init__(f"{status} {self.kind}: {self.message}")

    def body(self, request_id: str) -> dict[str, Any]:
        """The JSON body."""
        return error_body(self.kind, self.message, request_id, details=self.details)


def error_body(kind: str, message: str, request_id: str, *, details: dict[str, Any] | None = None) -> dict[str, Any]:
    """One error object, as it stands in a reply and, a second time nested, in a batch's result line."""
    error: dict[str, Any] = {"type": kind, "message": message}
    if details is not None:
        error["details"] = details
    return {"type": "error", "error": error, "request_id": request_id}
