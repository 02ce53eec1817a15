"""Which codec speaks to whom: a provider's name, the protocol it speaks and its profile, and out comes its codec.

A new protocol is a file of its own and a row here; a new server of an old protocol is a row of its profiles.
"""

from typing import Final

from lowtide.providers import Codec
from lowtide.providers.anthropic import AnthropicCodec
from lowtide.providers.openai import OpenAICodec, no_limit
from lowtide.providers.openai_bodies import OutputLimit
from lowtide.providers.openai_profiles import PROFILES

PROTOCOLS: Final[dict[str, tuple[str, ...]]] = {"anthropic": ("anthropic",), "openai": tuple(PROFILES)}
"""Every protocol with its profiles, the usual one first."""


def codec_for(
    name: str, *, protocol: str, profile: str = "", base_url: str = "", output_limit: OutputLimit = no_limit
) -> Codec:
    """Give the codec of the provider called ``name``.

    Without a ``profile`` it is the one of that name, else ``compatible`` where there is a base URL, else the protocol's
    own. ``base_url`` is what the official clients take, with or without a path. ``output_limit`` gives the most tokens a
    model can write, for bodies that name no limit; where it gives ``None``, such bodies are refused.

    Raises: ValueError, with the choices, for a protocol or profile that is not there, or a profile without an address.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"no protocol {protocol!r}: there are {', '.join(PROTOCOLS)}")
    if profile and profile not in PROTOCOLS[protocol]:
        raise ValueError(f"no profile {profile!r} of {protocol}: there are {', '.join(PROTOCOLS[protocol])}")
    if protocol == "anthropic":
        return AnthropicCodec(provider=name, base_url=base_url) if base_url else AnthropicCodec(provider=name)
    chosen = PROFILES[profile or (name if name in PROFILES else "compatible" if base_url else "openai")]
    if not (base_url or chosen.base_url):
        raise ValueError(f"{name} needs a base_url: every {chosen.name} server has an address of its own")
    return OpenAICodec(provider=name, profile=chosen, base_url=base_url, output_limit=output_limit)
