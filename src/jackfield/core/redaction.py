"""Takes credentials out of any text that will be logged, raised or shown.

Knows what credentials look like, not where text goes. Redaction is by shape and, for the keys this process knows, by value.
"""

import re
from collections.abc import Iterable

MASK = "[redacted]"
_SHAPES = (
    # header and field forms: the name stays, the value goes
    re.compile(
        r"""(?ix)
        ((?:["']?(?:authorization|proxy-authorization|x-api-key|x-goog-api-key|api[-_]?key|apikey|access[-_]?token|
        oauth[-_]?token|refresh[-_]?token|auth[-_]?token|client[-_]?secret|secret|password|passwd|token)["']?)
        \s*[:=]\s*["']?(?:bearer\s+|basic\s+)?)
        ([^\s"',;&}\]]{4,})"""
    ),
    re.compile(r"(?i)(\b(?:bearer|basic)\s+)([A-Za-z0-9._~+/=-]{8,})"),
    re.compile(r"(?i)([?&](?:key|api_key|apikey|token|access_token|sig|signature)=)([^&\s\"']+)"),
    re.compile(r"(://[^/\s:@]*:)([^@\s/]+)(?=@)"),
    # bare keys by their makers' prefixes
    re.compile(
        r"()\b((?:sk|pk|rk|gsk|xai|hf|pplx|nvapi|fw|csk|tgp|r8|key|jk|ghp|gho|github_pat|AIza|AKIA|ya29)"
        r"(?:[-_][A-Za-z0-9_-]{8,}|[A-Za-z0-9_-]{16,}))"
    ),
)


def redact(text: str, known: Iterable[str] = ()) -> str:
    """`text` with every credential replaced by `[redacted]`. `known` are literal secrets of this process."""
    for secret in known:
        if len(secret) >= 4:
            text = text.replace(secret, MASK)
    for shape in _SHAPES:
        text = shape.sub(lambda match: f"{match[1]}{MASK}", text)
    return text
