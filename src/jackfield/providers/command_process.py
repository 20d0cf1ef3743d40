"""One run of a program: its argument list, never a shell; its output as it comes; its whole process group gone afterwards.

Knows processes, not what they say. Waits have limits, lines and error output have bounds, and whoever leaves kills the group.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from jackfield.core.errors import Malformed, TimedOut, Unavailable

CHUNK_BYTES = 64 * 1024
LINE_MAX_BYTES = 4 * 1024 * 1024
OUTPUT_MAX_BYTES = 64 * 1024 * 1024
COMPLAINT_BYTES = 4096
"""Of what a program writes to its error output the last part is kept, for the message when it fails."""
STOP_WITHIN_S = 2.0


class Run:
    """A running program. Read `chunks` or `lines` to the end, then `check`."""

    def __init__(self, process: asyncio.subprocess.Process, name: str, idle_s: float) -> None:
        assert process.stdout is not None
        self._process = process
        self._name = name
        self._idle_s = idle_s
        self._out = process.stdout
        self._complaint = b""
        self._listening: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Its output as it comes. Raises TimedOut after `idle_s` of silence, Malformed when it never ends."""
        size = 0
        while chunk := await self._read():
            size += len(chunk)
            if size > OUTPUT_MAX_BYTES:
                raise Malformed(f"{self._name} wrote more than {OUTPUT_MAX_BYTES} bytes")
            yield chunk

    async def lines(self) -> AsyncIterator[bytes]:
        """Its output line by line, without the line ends; the last one may lack its own."""
        rest = b""
        async for chunk in self.chunks():
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line
            if len(rest) > LINE_MAX_BYTES:
                raise Malformed(f"{self._name} wrote a line of more than {LINE_MAX_BYTES} bytes")
        if rest:
            yield rest

    async def check(self) -> None:
        """After its output has ended: raises Unavailable, with its last words, if it failed."""
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                code = await self._process.wait()
                if self._listening is not None:
                    await self._listening
        except TimeoutError:
            return  # it said all it had to say, and is stopped with its group
        if code != 0:
            raise Unavailable(f"{self._name} ended with exit code {code}: {self.complaint or 'it said nothing'}")

    @property
    def complaint(self) -> str:
        """The last thing that it wrote to its error output."""
        return " ".join(self._complaint.decode(errors="replace").split())[-400:]

    async def _read(self) -> bytes:
        try:
            async with asyncio.timeout(self._idle_s):
                return await self._out.read(CHUNK_BYTES)
        except TimeoutError:
            raise TimedOut(f"{self._name} was silent for {self._idle_s:g} s and was stopped") from None

    def attend(self, stdin: bytes) -> None:
        """Writes its input and listens to its error output, both beside the reading, so that neither can block it."""
        self._writing = asyncio.create_task(self._write(stdin))
        self._listening = asyncio.create_task(self._listen())

    async def _write(self, stdin: bytes) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        with suppress(OSError):  # it need not read what it is given
            pipe.write(stdin)
            await pipe.drain()
        with suppress(OSError):
            pipe.close()
            await pipe.wait_closed()

    async def _listen(self) -> None:
        pipe = self._process.stderr
        assert pipe is not None
        while chunk := await pipe.read(CHUNK_BYTES):
            self._complaint = (self._complaint + chunk)[-COMPLAINT_BYTES:]

    async def stop(self) -> None:
        """Ends the whole group: politely, then not."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.returncode is not None and number is signal.SIGTERM:
                number = signal.SIGKILL  # its children may live on
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_WITHIN_S):
                    await self._process.wait()
                break
        tasks = [task for task in (self._writing, self._listening) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        transport = getattr(self._process, "_transport", None)
        if transport is not None:
            transport.close()


@asynccontextmanager
async def running(
    argv: Sequence[str],
    stdin: bytes,
    *,
    environ: Mapping[str, str],
    idle_s: float,
    total_s: float,
    folder: str | None = None,
) -> AsyncIterator[Run]:
    """Starts `argv` in a process group of its own. Leaving the block, for any reason, ends the group.

    Raises Unavailable where the program cannot be started, TimedOut after `total_s`.
    """
    name = os.path.basename(argv[0])
    try:
        process = await asyncio.create_subprocess_exec(  # noqa: TID251 - the one place for it in this room
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environ),
            cwd=folder,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise Unavailable(f"{name} cannot be started: {error}") from error
    run = Run(process, name, idle_s)
    run.attend(stdin)
    try:
        async with asyncio.timeout(total_s):
            yield run
    except TimeoutError:
        raise TimedOut(f"{name} took longer than {total_s:g} s and was stopped") from None
    finally:
        await asyncio.shield(run.stop())
