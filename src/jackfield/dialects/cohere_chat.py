"""Cohere's chat dialect (API v2) under one name: what its adapter imports. No door speaks it.

Knows nothing itself; each part is in the file that its import names. Vectors, rankings and models are in cohere_calls.py.
Source: https://docs.cohere.com/v2/reference/chat (November 2026).
"""

from jackfield.dialects.cohere_chat_reply import decode_reply
from jackfield.dialects.cohere_chat_request import encode_request
from jackfield.dialects.cohere_chat_stream import StreamDecoder
from jackfield.dialects.cohere_errors import decode_error

NAME = "cohere_chat"
PATH = "v2/chat"

__all__ = [
    "NAME",
    "PATH",
    "StreamDecoder",
    "decode_error",
    "decode_reply",
    "encode_request",
]
