"""Servers that speak OpenAI's protocol with deviations of their own, as data.

Law: a deviation is a field here and nowhere else; code asks the profile, never for a vendor's name.

Source: reference sheet of OpenAI's API, sections 3 and 5, checked 2026-11-21. ``loose`` is what clones have in common: they
ignore what they do not know, serve any model, and leave details out.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One dialect."""

    name: str
    base_path: str = "/v1"
    strict: bool = True
    """Whether unknown fields and wrong content types are refused."""
    any_model: bool = False
    """Whether every model name is taken."""
    batch_requests_max: int = 50_000
    batch_bytes_max: int = 200_000_000
    file_bytes_max: int = 512_000_000
    batch_purpose: str = "batch"
    batch_expires: bool = True
    """Whether a batch is over after its window."""
    windows: tuple[str, ...] = ("24h",)
    endpoints: tuple[str, ...] = ("/v1/responses", "/v1/chat/completions")
    counts_null: bool = False
    """Whether ``completed`` and ``failed`` are null until the batch is over."""
    empty_error_file: bool = False
    """Whether a batch without failures leaves an error file of no bytes."""
    refuses_bom: bool = False
    upper_case: bool = False
    """Together's batch object: a wrapper around create's answer, upper-case states, ISO times, progress."""
    details: bool = True
    """Whether usage has its details and answers have a service tier."""
    rate_headers: bool = True
    responses: bool = True
    """Whether there is a Responses API."""
    flex_status: int = 429
    file_expiry_seconds: tuple[int, int] = (3_600, 2_592_000)


OPENAI: Final = Profile(name="openai")
PROFILES: Final[dict[str, Profile]] = {
    profile.name: profile
    for profile in (
        OPENAI,
        Profile(
            name="azure",
            base_path="/openai/v1",
            batch_requests_max=100_000,
            batch_expires=False,
            endpoints=("/chat/completions", "/v1/chat/completions", "/responses", "/v1/responses"),
            counts_null=True,
            empty_error_file=True,
            refuses_bom=True,
            any_model=True,
            file_expiry_seconds=(1_209_600, 2_592_000),
        ),
        Profile(
            name="together",
            strict=False,
            any_model=True,
            batch_bytes_max=100_000_000,
            batch_purpose="batch-api",
            endpoints=("/v1/chat/completions",),
            upper_case=True,
            details=False,
            responses=False,
        ),
        Profile(
            name="groq",
            base_path="/openai/v1",
            any_model=True,
            batch_bytes_max=100_000_000,
            windows=("24h", "2d", "3d", "4d", "5d", "6d", "7d"),
            endpoints=("/v1/chat/completions",),
            flex_status=498,
        ),
        Profile(
            name="loose",
            strict=False,
            any_model=True,
            details=False,
            rate_headers=False,
            responses=False,
            endpoints=("/v1/chat/completions",),
        ),
    )
}
