"""What is asked: one generation to buy, its readable key, and its body, native or neutral.

A native body is exactly what a client of the provider would send, kept byte for byte (promise 9). A neutral body is
what our own workloads make; a codec encodes it. How either looks on a wire is not known here.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

RequestKey = NewType("RequestKey", str)

KEY_LENGTH_MAX = 512
KIND_LENGTH_MAX = 40


class Endpoint(StrEnum):
    """Which of a provider's endpoints a body is for."""

    MESSAGES = "messages"  # Anthropic
    CHAT = "chat"  # OpenAI's Chat Completions, and every server that speaks like it
    RESPONSES = "responses"  # OpenAI's Responses


@dataclass(frozen=True, slots=True, kw_only=True)
class Neutral:
    """A body in our own words, for any provider.

    ``system`` is the instruction text, empty for none. ``shared`` are the text blocks that many requests of one run
    begin with, in order: the long common prefix that a cache can hold. ``text`` is what only this request says.
    ``max_output_tokens`` is a hard limit.
    """

    system: str = ""
    shared: tuple[str, ...] = ()
    text: str
    max_output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """A body as the provider takes it: the JSON bytes that its endpoint is sent, untouched."""

    params: bytes
    endpoint: Endpoint = Endpoint.MESSAGES


Body = Native | Neutral


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One generation to buy.

    ``key`` is stable, readable and unique in its plan: ``{file}:{node}:{document type}``, a row's key, a line's
    ``custom_id``. ``kind`` names what shares one template and so one shape of body (a document type, ``row``, ``line``):
    before the first batch of a kind one request is tried in real time. ``source`` says where the request came from
    (``file`` or ``file:line``), for messages. ``depends_on`` are the keys whose finished text the body quotes,
    itself or through another that it quotes.
    ``provider`` is empty where whoever sells the model may be asked.
    """

    key: RequestKey
    model: str
    body: Body
    kind: str
    source: str = ""
    provider: str = ""
    depends_on: tuple[RequestKey, ...] = field(default=())
