"""``python -m lowtide_simulator``: flags to options, then serve until stopped.

Law: one JSON line on standard output when listening, nothing else there.
"""

import argparse
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from lowtide_simulator.answers import Chances
from lowtide_simulator.clock import ClockMode, zulu
from lowtide_simulator.faults import Rule, parse_rules
from lowtide_simulator.limits import TIERS, UNLIMITED, Tier, TierLimits
from lowtide_simulator.openai.limits import OpenAILimits
from lowtide_simulator.openai.profiles import PROFILES
from lowtide_simulator.openai.provider import OpenAIOptions
from lowtide_simulator.server import listen, make_server
from lowtide_simulator.world import START, Turnaround, World, WorldOptions


def parser() -> argparse.ArgumentParser:
    """The flags."""
    flags = argparse.ArgumentParser(
        prog="lowtide_simulator", description="A model provider to run against, at no cost."
    )
    flags.add_argument("--host", default="127.0.0.1")
    flags.add_argument("--port", type=int, default=0, help="0 takes a free one")
    flags.add_argument("--seed", type=int, default=7)
    flags.add_argument("--clock", type=ClockMode, choices=list(ClockMode), default=ClockMode.VIRTUAL)
    flags.add_argument("--speed", type=float, default=60.0, help="for --clock scaled: simulated seconds a second")
    flags.add_argument("--start", type=_moment, default=START, help="first instant, e.g. 2026-11-21T10:00:00Z")
    flags.add_argument("--faults", type=_rules, default=(), metavar="FILE.json", help="fault script")
    flags.add_argument(
        "--results-delay",
        type=Turnaround.parse,
        default=Turnaround(),
        metavar="SECONDS",
        help="how long batches take: 90, 60-3600, or 600~0.8 (median~spread)",
    )
    flags.add_argument("--tier", type=Tier, choices=list(Tier), default=None, help="rate limits; default: none")
    flags.add_argument(
        "--limits",
        type=_limits,
        default=LimitsFile(),
        metavar="FILE.json",
        help='rate limits: {"anthropic": {"messages": {...}}, "openai": {"each": {...}, "models": {...}}}',
    )
    for name, words in LIMIT_FLAGS.items():
        flags.add_argument(f"--{name}", type=int, default=None, metavar="N", help=words)
    flags.add_argument(
        "--burst-seconds", type=float, default=None, help="a bucket of a limit holds what flows in within so many; 60"
    )
    flags.add_argument(
        "--profile", choices=sorted(PROFILES), default="openai", help="whose OpenAI protocol; openai is OpenAI itself"
    )
    flags.add_argument("--webhook-url", default=None, help="post OpenAI's events there (http only)")
    flags.add_argument("--webhook-secret", default=None, help="whsec_ and base64; default: a fixed one")
    flags.add_argument("--api-key", action="append", default=None, help="accept only this key (repeatable)")
    for name in ("errored", "expired", "refusal", "max-tokens"):
        flags.add_argument(f"--{name}-share", type=float, default=0.0, metavar="0..1", help=f"share of {name} answers")
    flags.add_argument("--answer-tokens", type=int, default=400, help="median length of answers")
    flags.add_argument(
        "--latency", type=float, default=0.0, help="seconds a real-time answer takes (not on a virtual clock)"
    )
    flags.add_argument("--ready-file", type=Path, default=None, help="also write the line there")
    return flags


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        message = "the start needs an offset, e.g. Z"
        raise argparse.ArgumentTypeError(message)
    return moment


def _rules(text: str) -> tuple[Rule, ...]:
    try:
        return parse_rules(Path(text).read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error


LIMIT_FLAGS: Final = {
    "requests-per-minute": "of each model, on both halves",
    "input-tokens-per-minute": "of each model, Anthropic's half",
    "output-tokens-per-minute": "of each model, Anthropic's half",
    "tokens-per-minute": "of each model, OpenAI's half",
    "batch-queue-tokens": "prompt tokens of each model that OpenAI's batches may hold at a time",
    "batches-per-hour": "OpenAI's half; 2000 when absent",
}


class LimitsFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What ``--limits`` reads."""

    anthropic: TierLimits | None = None
    openai: OpenAILimits | None = None


def _limits(text: str) -> LimitsFile:
    try:
        return msgspec.json.decode(Path(text).read_bytes(), type=LimitsFile)
    except (OSError, msgspec.DecodeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def anthropic_limits(flags: argparse.Namespace) -> TierLimits | None:
    """The file's limits or the tier's, with what single flags change; None when nothing was asked for."""
    asked = {
        "requests": flags.requests_per_minute,
        "input_tokens": flags.input_tokens_per_minute,
        "output_tokens": flags.output_tokens_per_minute,
    }
    changes = {name: value for name, value in asked.items() if value is not None}
    limits: TierLimits | None = flags.limits.anthropic
    if changes or flags.burst_seconds is not None:
        limits = limits or (TIERS[flags.tier] if flags.tier else UNLIMITED)
        groups = {name: replace(rate, **changes) for name, rate in limits.groups.items()}
        limits = replace(limits, messages=replace(limits.messages, **changes), groups=groups)
    if limits is not None and flags.burst_seconds is not None:
        limits = replace(limits, burst_seconds=flags.burst_seconds)
    return limits


def openai_limits(flags: argparse.Namespace) -> OpenAILimits:
    """The file's limits, with what single flags change."""
    limits: OpenAILimits = flags.limits.openai or OpenAILimits()
    names = ("requests_per_minute", "tokens_per_minute", "batch_queue_tokens")
    changes = {name: getattr(flags, name) for name in names if getattr(flags, name) is not None}
    if changes:
        models = {name: replace(own, **changes) for name, own in limits.models.items()}
        limits = replace(limits, each=replace(limits.each, **changes), models=models)
    for name in ("batches_per_hour", "burst_seconds"):
        if getattr(flags, name) is not None:
            limits = replace(limits, **{name: getattr(flags, name)})
    return limits


def options_of(flags: argparse.Namespace) -> WorldOptions:
    """The options that the flags ask for."""
    return WorldOptions(
        seed=flags.seed,
        start=flags.start,
        clock=flags.clock,
        speed=flags.speed,
        api_keys=None if flags.api_key is None else frozenset(flags.api_key),
        tier=flags.tier,
        tier_limits=anthropic_limits(flags),
        openai=OpenAIOptions(profile=PROFILES[flags.profile], limits=openai_limits(flags)),
        webhook_url=flags.webhook_url,
        webhook_secret=flags.webhook_secret,
        turnaround=flags.results_delay,
        chances=Chances(
            refusal=flags.refusal_share, max_tokens=flags.max_tokens_share, length_median=flags.answer_tokens
        ),
        errored_share=flags.errored_share,
        expired_share=flags.expired_share,
        latency_seconds=flags.latency,
        faults=flags.faults,
    )


def main(argv: list[str]) -> int:
    """Serve until SIGINT or SIGTERM. Returns the exit code: 0, or 1 when the address cannot be had."""
    flags = parser().parse_args(argv)
    world = World(options_of(flags))
    try:
        sock = listen(flags.host, flags.port)
    except OSError as error:
        sys.stderr.write(f"cannot listen on {flags.host}:{flags.port}: {error.strerror}\n")
        return 1
    host, port = sock.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    ready = {
        "address": address,
        "clock": world.clock.mode.value,
        "now": zulu(world.now()),
        "seed": flags.seed,
        "simulated": True,
    }
    line = msgspec.json.encode(ready).decode()

    def announce() -> None:
        if flags.ready_file is not None:
            fresh = flags.ready_file.with_name(flags.ready_file.name + ".new")
            fresh.write_text(line + "\n", encoding="utf-8")
            fresh.replace(flags.ready_file)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    make_server(world, announce).run(sockets=[sock])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
