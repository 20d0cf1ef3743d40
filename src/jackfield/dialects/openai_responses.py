"""The Responses dialect under one name: what doors and adapters import.

Knows nothing itself; each part is in the file that its import names. Errors have the form of Chat Completions.
"""

from jackfield.dialects.openai_chat_request import parse_fields
from jackfield.dialects.openai_errors import decode_error, encode_error
from jackfield.dialects.openai_responses_encoder import StreamEncoder, encode_stream_error, failed_response
from jackfield.dialects.openai_responses_relay import StreamRelay, splice_request
from jackfield.dialects.openai_responses_reply import decode_reply, encode_reply, is_empty, reply_error
from jackfield.dialects.openai_responses_request import (
    BUILT_IN_CHOICE,
    BUILT_IN_TOOLS,
    decode_request,
    echo_of,
    encode_request,
    read_request,
    refused_sampling,
)
from jackfield.dialects.openai_responses_stream import StreamDecoder
from jackfield.dialects.openai_responses_usage import reply_usage

NAME = "openai_responses"
PATH = "responses"

__all__ = [
    "BUILT_IN_CHOICE",
    "BUILT_IN_TOOLS",
    "NAME",
    "PATH",
    "StreamDecoder",
    "StreamEncoder",
    "StreamRelay",
    "decode_error",
    "decode_reply",
    "decode_request",
    "echo_of",
    "encode_error",
    "encode_reply",
    "encode_request",
    "encode_stream_error",
    "failed_response",
    "is_empty",
    "parse_fields",
    "read_request",
    "refused_sampling",
    "reply_error",
    "reply_usage",
    "splice_request",
]
