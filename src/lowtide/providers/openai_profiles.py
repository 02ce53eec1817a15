"""Who speaks OpenAI's dialect, and with which accent: one row of facts for each, no code.

A profile is what a server does otherwise than OpenAI itself. A new one is a new row here and a name in the codec's
contract suite; what no row can say is code in ``openai``.

Source: the openai SDK 3.54.0, groq 1.7.0 and together 3.1.1, Azure's batch page of 2026-03, checked 2026-11-21.
"""

from dataclasses import dataclass
from typing import Final

from lowtide.catalog import Lane
from lowtide.providers import BatchLimits
from lowtide.request import Endpoint

DAY_SECONDS: Final = 86_400
EXPIRY_SECONDS: Final = 30 * DAY_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What one kind of server takes and says.

    ``base_url`` is empty where every user has an address of their own; ``root`` is the path of the API where the base
    URL names none. ``endpoints`` are those it has, the first one for neutral bodies. ``key_header`` carries the key
    (``authorization`` as a bearer). ``limit_field`` is the output limit of a chat body. ``tiers`` says whether bodies name
    a service tier, ``cache_writes`` whether models may bill what they write into a cache. ``counts_input``: it has a
    counter of input tokens. ``requests_per_minute``: its request headers speak of minutes, or at least may.

    Batches, where it has them: ``line_root`` begins the ``url`` of a line and of the batch, ``purpose`` is its file's,
    ``expiry_seconds`` (``None``: never asked for) says when files go, from 3,600 to 2,592,000.
    """

    name: str
    base_url: str = ""
    root: str = "/v1"
    endpoints: tuple[Endpoint, ...] = (Endpoint.CHAT,)
    key_header: str = "authorization"
    limit_field: str = "max_tokens"
    tiers: bool = False
    cache_writes: bool = False
    counts_input: bool = False
    requests_per_minute: bool = True
    windows: tuple[Lane, ...] = ()
    batch_limits: BatchLimits | None = None
    line_root: str = "/v1"
    purpose: str = "batch"
    expiry_seconds: int | None = None


# MB is read as decimal.
OPENAI: Final = Profile(
    name="openai",
    base_url="https://api.openai.com",
    endpoints=(Endpoint.RESPONSES, Endpoint.CHAT),
    limit_field="max_completion_tokens",
    tiers=True,
    cache_writes=True,
    counts_input=True,
    windows=(Lane.WINDOW_2H, Lane.WINDOW_8H),
    batch_limits=BatchLimits(
        requests_max=50_000,
        bytes_max=200_000_000,
        expires_after_seconds=DAY_SECONDS,
        one_model=True,
        creates_per_hour=2_000,
    ),
    expiry_seconds=EXPIRY_SECONDS,
)
# A batch there never expires, and its lines name the path without a version. ``model`` is the name of a deployment.
AZURE: Final = Profile(
    name="azure",
    root="/openai/v1",
    endpoints=(Endpoint.CHAT, Endpoint.RESPONSES),
    key_header="api-key",
    limit_field="max_completion_tokens",
    cache_writes=True,
    batch_limits=BatchLimits(requests_max=100_000, bytes_max=200_000_000, expires_after_seconds=None, one_model=True),
    line_root="",
    expiry_seconds=EXPIRY_SECONDS,
)
# Chat completions only. Its headers of requests speak of a day (console.groq.com/docs/rate-limits).
GROQ: Final = Profile(
    name="groq",
    base_url="https://api.groq.com",
    root="/openai/v1",
    limit_field="max_completion_tokens",
    requests_per_minute=False,
    batch_limits=BatchLimits(
        requests_max=50_000, bytes_max=100_000_000, expires_after_seconds=DAY_SECONDS, one_model=True
    ),
)
# Its batches carry no metadata, so a create whose reply was lost could not be found again: real time only.
TOGETHER: Final = Profile(name="together", base_url="https://api.together.ai")
# Everything else: llama.cpp, vLLM, proxies. Nothing is taken for granted but Chat Completions with usage.
COMPATIBLE: Final = Profile(name="compatible")

PROFILES: Final = {row.name: row for row in (OPENAI, AZURE, GROQ, TOGETHER, COMPATIBLE)}
