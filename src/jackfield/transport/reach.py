"""Does anything listen there? Opens a connection through the gate and closes it again; says no byte.

Knows addresses; what listens, and whether it is well, is for others to ask.
"""

import asyncio

from jackfield.core.errors import EgressDenied, JackfieldError
from jackfield.transport.egress import EgressGate


async def is_listening(gate: EgressGate, host: str, port: int, within_s: float) -> bool | None:
    """True once a connection was taken, False for a name or address where none is within `within_s` seconds.

    None where the gate forbids to ask.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(within_s):
            for family, sockaddr in await gate.addresses(host, port):
                try:
                    transport, _ = await loop.create_connection(asyncio.Protocol, sockaddr[0], sockaddr[1], family=family)
                except OSError:
                    continue
                transport.abort()
                return True
    except EgressDenied:
        return None
    except (JackfieldError, TimeoutError):
        return False
    return False
