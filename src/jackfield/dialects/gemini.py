"""The Gemini dialect (generateContent) under one name: what doors and adapters import.

Knows nothing itself; each part is in the file that its import names.
"""

from jackfield.dialects.gemini_errors import decode_error, encode_error, in_band_error
from jackfield.dialects.gemini_relay import StreamRelay
from jackfield.dialects.gemini_reply import decode_reply, encode_reply, is_empty, reply_error
from jackfield.dialects.gemini_request import decode_request, encode_request
from jackfield.dialects.gemini_splice import fill_in, method, splice_request
from jackfield.dialects.gemini_stream import StreamDecoder, StreamEncoder
from jackfield.dialects.gemini_usage import reply_usage

NAME = "gemini"
PATH = "generateContent"

__all__ = [
    "NAME",
    "PATH",
    "StreamDecoder",
    "StreamEncoder",
    "StreamRelay",
    "decode_error",
    "decode_reply",
    "decode_request",
    "encode_error",
    "encode_reply",
    "encode_request",
    "fill_in",
    "in_band_error",
    "is_empty",
    "method",
    "reply_error",
    "reply_usage",
    "splice_request",
]
