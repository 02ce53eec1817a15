"""Which codec speaks for a provider: by its protocol, and the profile of its accent."""

from lowtide.providers import Codec
from lowtide.providers.anthropic import AnthropicCodec
from lowtide.providers.openai import OpenAICodec
from lowtide.providers.openai_bodies import OutputLimit
from lowtide.providers.openai_profiles import PROFILES


def codec_for(name: str, *, protocol: str, profile: str, base_url: str, output_limit: OutputLimit) -> Codec:
    """Make the codec of a provider."""
    if protocol == "anthropic":
        return AnthropicCodec(provider=name, base_url=base_url or "https://api.anthropic.com")
    return OpenAICodec(provider=name, profile=PROFILES[profile], base_url=base_url, output_limit=output_limit)
