"""The Chat Completions dialect under one name: what doors and adapters import.

Knows nothing itself; each part is in the file that its import names.
"""

from jackfield.dialects.openai_chat_quirks import ChatQuirks
from jackfield.dialects.openai_chat_relay import StreamRelay
from jackfield.dialects.openai_chat_reply import decode_reply, encode_reply, reply_error
from jackfield.dialects.openai_chat_request import decode_request, encode_request, parse_fields
from jackfield.dialects.openai_chat_splice import SplicePlan, splice_request
from jackfield.dialects.openai_chat_stream import DONE_EVENT, StreamDecoder, StreamEncoder, encode_stream_error
from jackfield.dialects.openai_chat_usage import reply_usage
from jackfield.dialects.openai_errors import decode_error, encode_error, in_band_error

NAME = "openai_chat"
PATH = "chat/completions"

__all__ = [
    "DONE_EVENT",
    "NAME",
    "PATH",
    "ChatQuirks",
    "SplicePlan",
    "StreamDecoder",
    "StreamEncoder",
    "StreamRelay",
    "decode_error",
    "decode_reply",
    "decode_request",
    "encode_error",
    "encode_reply",
    "encode_request",
    "encode_stream_error",
    "in_band_error",
    "parse_fields",
    "reply_error",
    "reply_usage",
    "splice_request",
]
