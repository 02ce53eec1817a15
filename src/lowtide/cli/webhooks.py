"""``lowtide webhooks``: listens for OpenAI's events and says what became of each. What an event may do stands in ``webhooks``."""

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from lowtide.cli.desk import desk
from lowtide.cli.options import Choices, choices, iso, with_json
from lowtide.errors import counted
from lowtide.settings import read_secret

if TYPE_CHECKING:
    from lowtide.store.webhooks import Heard
    from lowtide.webhooks import Arrival, Refused

PORT = 8017
REFERENCE = "env:OPENAI_WEBHOOK_SECRET"
KINDS = ("env:", "file:", "keyring:")
WORDS = {
    "look_now": "is looked at now",
    "nothing_due": "is known; nothing to look at",
    "unknown_object": "is not ours, or has landed",
    "unknown_type": "is of no kind that we listen for",
    "duplicate": "was heard before",
    "headers": "headers are missing or malformed",
    "timestamp": "signed more than five minutes from now",
    "signature": "signed with none of our secrets",
    "too_large": "larger than any event",
    "too_slow": "did not arrive in time",
    "unreadable": "signed, and says nothing that we can read",
    "store_busy": "the store did not take it in time; it comes again",
}


@with_json
@click.command(short_help="Hear from OpenAI when to look.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes a free one.")
@click.option(
    "--secret",
    "references",
    multiple=True,
    metavar="WHERE",
    default=(REFERENCE,),
    show_default=True,
    help="Where the secret is: env:NAME, file:PATH, keyring:SERVICE/USER. Twice while it is replaced.",
)
@click.option("--public", is_flag=True, help="Allow an address that other machines reach, without TLS.")
def webhooks(host: str, port: int, references: tuple[str, ...], public: bool) -> int:
    """Listen for OpenAI's webhooks, so that what is over is looked at within a minute. Ctrl-C stops it.

    An event only says where to look; without this command, or when one is lost, polling finds the same later.
    """
    for reference in references:
        if not reference.startswith(KINDS):
            raise click.BadParameter(
                "it says where the secret is (env:NAME), and is never the secret itself", param_hint="--secret"
            )
    return asyncio.run(_webhooks(choices(), host, port, references, public=public))


async def _webhooks(chosen: Choices, host: str, port: int, references: tuple[str, ...], *, public: bool) -> int:
    from lowtide.webhooks import Receiver, listen, make_server, secret_from  # noqa: PLC0415 no other command pays for a server

    secrets = [secret_from(_secret(reference)) for reference in references]
    async with desk(chosen) as engine:
        teller = _Teller(chosen)
        with listen(host, port, public=public) as bound:
            receiver = Receiver(store=engine.store, clock=engine.clock, secrets=secrets, on_arrival=teller.tell)
            await receiver.forget_old()
            address = f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}/"
            try:
                await make_server(receiver, lambda: teller.listening(address)).serve(sockets=[bound])
            finally:
                receiver.close()
        teller.total(receiver.counts)
    return 0


def _secret(reference: str) -> str:
    """Read one secret. Raises: CredentialMissing."""
    return read_secret(
        reference,
        os.environ,
        what="webhook secret",
        elsewhere="name another place: --secret file:PATH",
        where_said="the endpoint's page at the provider shows it once",
    )


class _Teller:
    """Says what happens: a line or an object for each event, and only the first of each kind that was refused."""

    def __init__(self, chosen: Choices) -> None:
        from lowtide.cli.screen import stamp  # noqa: PLC0415 brings rich: before anybody waits for an answer

        self._chosen = chosen
        self._stamp = stamp
        self._refused: set[str] = set()

    def listening(self, address: str) -> None:
        """Say where we listen."""
        if self._chosen.json:
            _print_json({"type": "listening", "address": address})
        elif not self._chosen.quiet:
            print(f"Listening at {address} for OpenAI's webhooks. Ctrl-C stops it.", file=sys.stderr, flush=True)

    def tell(self, arrival: "Arrival") -> None:
        """Say what became of an event. Strangers can make refusals: they are counted, and only the first is told."""
        event, verdict = arrival.event, arrival.verdict.value
        if event is None:
            if verdict in self._refused:
                return
            self._refused.add(verdict)
        if self._chosen.json:
            said = {"event": event.type, "object": event.object_id} if event is not None else {}
            _print_json({"type": "webhook", "verdict": verdict, "at": iso(arrival.at), **said})
        elif not self._chosen.quiet:
            at = "" if arrival.at is None else f"{self._stamp(arrival.at)}  "
            text = f"refused: {WORDS[verdict]}" if event is None else f"{event.type} {event.object_id} {WORDS[verdict]}"
            print(f"{at}{text}", file=sys.stderr, flush=True)

    def total(self, counts: "Mapping[Heard | Refused, int]") -> None:
        """Say how often what happened."""
        if self._chosen.json:
            _print_json({"type": "webhooks", "counts": {each.value: count for each, count in sorted(counts.items())}})
            return
        print(counted(sum(counts.values()), "delivery", "deliveries"))
        for each, count in sorted(counts.items(), key=lambda pair: -pair[1]):
            print(f"{count:>9,}  {WORDS[each.value]}")


def _print_json(body: dict[str, object]) -> None:
    from lowtide.cli.shapes import print_json  # noqa: PLC0415 one of two ways

    print_json(body)
