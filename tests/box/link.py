"""link.py PORT TARGET_PORT BYTES_PER_SECOND FREEZE_AFTER: a slow way to a server on this machine.

After FREEZE_AFTER bytes (0 = never) nothing goes through any more in either direction and nothing is closed: a cable that was pulled out.
"""

import asyncio
import sys
import time
from contextlib import suppress

PIECE = 32768


class Link:
    def __init__(self, target: int, rate: int, freeze_after: int) -> None:
        self.target = target
        self.rate = rate
        self.freeze_after = freeze_after
        self.carried = 0
        self.free_at = 0.0

    @property
    def is_frozen(self) -> bool:
        return 0 < self.freeze_after <= self.carried

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", self.target, limit=PIECE)
        await asyncio.gather(self.carry(reader, forth, is_slow=True), self.carry(back, writer, is_slow=False))

    async def pass_through(self, size: int) -> None:
        self.carried += size
        self.free_at = max(self.free_at, time.monotonic()) + size / self.rate
        await asyncio.sleep(self.free_at - time.monotonic())

    async def carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_slow: bool) -> None:
        with suppress(ConnectionError):
            while piece := await source.read(PIECE):
                if is_slow:
                    await self.pass_through(len(piece))
                if self.is_frozen:
                    await asyncio.Event().wait()
                sink.write(piece)
                await sink.drain()
        sink.close()


async def main(port: int, link: Link) -> None:
    server = await asyncio.start_server(link.accept, "127.0.0.1", port, limit=PIECE)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    listen, *numbers = map(int, sys.argv[1:])
    asyncio.run(main(listen, Link(*numbers)))
