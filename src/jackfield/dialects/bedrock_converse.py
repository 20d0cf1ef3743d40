"""The Converse dialect of Amazon Bedrock under one name: what its adapter imports. No door speaks it.

Knows nothing itself; each part is in the file that its import names.
"""

from jackfield.dialects.bedrock_converse_reply import decode_reply
from jackfield.dialects.bedrock_converse_request import encode_count, encode_request
from jackfield.dialects.bedrock_converse_stream import STREAM_TYPE, StreamDecoder
from jackfield.dialects.bedrock_errors import decode_error

NAME = "bedrock_converse"

__all__ = [
    "NAME",
    "STREAM_TYPE",
    "StreamDecoder",
    "decode_error",
    "decode_reply",
    "encode_count",
    "encode_request",
]
