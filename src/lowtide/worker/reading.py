"""What is read piece by piece: results as whole lines, decoded one by one in constant memory, and listings as pages.

A line that ends with the stream but not with a newline counts only when it reads as JSON; a cut is a ``TransportFailed``,
never a short success. A line that is no result line at all is counted as unreadable and passed over.
"""

from collections.abc import AsyncIterator, Sequence

from lowtide.errors import TransportFailed
from lowtide.providers import ApiError, BatchPage, ResultLine
from lowtide.worker.hands import Hands

LINE_BYTES_MAX = 256 << 20
ERROR_BYTES_MAX = 1 << 20
LIST_LIMIT = 1000
LIST_PAGES_MAX = 100


async def listing(hands: Hands, *, pages_max: int = LIST_PAGES_MAX) -> AsyncIterator[BatchPage | ApiError]:
    """Stream the account's batches, newest first, a page at a time. A refusal is the last thing yielded.

    Raises: TransportFailed.
    """
    after: str | None = None
    for _ in range(pages_max):
        reply = await hands.ask(hands.codec.list_call(after=after, limit=LIST_LIMIT))
        page = hands.codec.decode_page(status=reply.status, headers=reply.headers, body=reply.body)
        yield page
        if isinstance(page, ApiError) or page.next_after is None:
            return
        after = page.next_after


async def result_lines(hands: Hands, paths: Sequence[str]) -> AsyncIterator[ResultLine | ApiError]:
    """Stream the results of a batch from every path that holds some. A refusal is the last thing yielded.

    Raises: TransportFailed when cut.
    """
    for path in paths:
        call = hands.http(hands.codec.results_call(path))
        async with hands.transport.stream(call) as reply:
            if reply.status != 200:
                body = b""
                async for chunk in reply.chunks:
                    body += chunk
                    if len(body) > ERROR_BYTES_MAX:
                        break
                yield hands.codec.decode_error(status=reply.status, headers=reply.headers, body=body)
                return
            async for lines in _lines(reply.chunks):
                for line in lines:
                    found = _decoded(hands, line)
                    if found is not None:
                        yield found


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """Stream whole lines, those of a chunk together."""
    rest: list[bytes] = []
    size = 0
    async for chunk in chunks:
        pieces = chunk.split(b"\n")
        if len(pieces) == 1:
            rest.append(chunk)
            size += len(chunk)
            if size > LINE_BYTES_MAX:
                raise TransportFailed(f"a result line is longer than {LINE_BYTES_MAX} bytes", sent=True)
            continue
        pieces[0] = b"".join((*rest, pieces[0]))
        last = pieces.pop()
        rest, size = [last], len(last)
        yield pieces
    if any(rest):
        yield [b"".join(rest)]


def _decoded(hands: Hands, line: bytes) -> ResultLine | None:
    if not line.strip():
        return None
    try:
        return hands.codec.decode_result_line(line)
    except ValueError:
        return None  # its request stays without a row, and is asked for again
