"""Takes credentials out of any text that will be logged, raised or shown.

Knows what credentials look like, not where text goes. Redaction is by shape and, for the keys this process knows, by value.
References (`env:NAME`), placeholders and small numbers stay readable.
"""

import re
from collections.abc import Iterable

from jackfield.core.errors import JackfieldError

MASK = "[redacted]"

_NAME = (
    r"(?:authorization|set-cookie|cookie|api[-_ ]?key|(?:secret|private|access|auth|signing|master)[-_]?key|"
    r"(?<!bos_)(?<!eos_)(?<!pad_)(?<!unk_)(?<!max_)(?<!stop_)token|secret|password|passwd|passphrase|credentials?)"
)
# A quote may be escaped any number of times: JSON inside a JSON string. `b` is for Python's repr of bytes.
_QUOTE = r"\\*[\"']"
_FIELD = re.compile(
    rf"""(?ix)
    (?P<head>{_NAME}(?:{_QUOTE})?\s*[:=]\s*\[?\s*b?)
    (?: (?P<open>\\+["'])(?P<escaped>.*?)(?=(?P=open))
      | "(?P<double>(?:[^"\\]|\\.)*)(?=")
      | '(?P<single>(?:[^'\\]|\\.)*)(?=')
    )"""
)
_PLAIN_FIELD = re.compile(
    rf"""(?ix)
    (?P<head>{_NAME}(?:{_QUOTE})?[ \t]*[:=][ \t]*(?:\r?\n[ \t]+)?(?:{_QUOTE})?)
    (?P<plain>(?:(?:bearer|basic|token|digest|apikey)[ \t]+)?[^\s"',;&}}\])\\]+)"""
)
# Where any scheme may stand before the value, and a cookie has several.
_HEADER = re.compile(
    r"(?i)(?P<head>authorization[ \t]*:[ \t]*)(?P<plain>[^\r\n\"',;\\}\])]+)|(?P<cookie>cookie[ \t]*:[ \t]*)[^\r\n\"'\\]+"
)
_HEADER_PAIR = re.compile(rf"(?i)(?P<head>(?:authorization|cookie|api[-_]?key){_QUOTE}\s*,\s*b?{_QUOTE})(?P<plain>[^\"'\\]+)")
_HARMLESS = re.compile(
    r"(?i)(?:(?:bearer|basic|token)\s+)?"
    r"(?:(?:env|keyring|file):[a-z0-9_./-]+|null|none|true|false|\d{1,7}|\*+|\.{3}|…|<[^>]*>|\$\{?\w+\}?|\[redacted\]?)?"
)
_SHAPES = (
    re.compile(r"(?s)(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END [A-Z ]*PRIVATE KEY-----|\Z)"),
    re.compile(r"(?i)(\bbearer\s+)(?!authenti|authori|\[redacted|env:|keyring:|file:)[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(
        r"(?i)(\bbasic\s+)(?=[A-Za-z0-9+/]{0,200}[0-9=]|(?-i:[A-Za-z][a-z]{0,64}[A-Z]))(?:[A-Za-z0-9+/]{4}){2,}[A-Za-z0-9+/=]{0,3}"
    ),
    re.compile(
        r"(?i)([?&](?:[a-z0-9_-]*(?:key|token|secret|password|signature|credential)|sig|auth)=)"
        r"(?!\[redacted)[^&\s\"'#<>\\]+"
    ),
    re.compile(r"(://[^/\s:@\"']*:)(?!\[redacted\]@)[^/\s\"'<>]+(?=@)"),
    re.compile(r"(://)[^/\s:@\"'\[\]]{20,}(?=@)"),
    # bare keys by their makers' prefixes, with as much of their form as tells them from ordinary words
    re.compile(r"()(?<![A-Za-z0-9])sk[-_][A-Za-z0-9_-]{8,}"),
    re.compile(r"()(?<![A-Za-z0-9])hf_(?=[a-z]{0,64}[A-Z0-9]|[a-z]{24})[A-Za-z0-9]{8,}"),
    re.compile(
        r"()(?<![A-Za-z0-9])(?:gsk|csk|cpk|pplx|nvapi|tgp|r8|gh[pousr]|github_pat|glpat|xox[abeprs])[-_]"
        r"(?=[A-Za-z_-]{0,64}\d)[A-Za-z0-9_-]{8,}"
    ),
    re.compile(r"()(?<![A-Za-z0-9])(?:xai|fw|pk|rk|jk|key)[-_](?=[A-Za-z]{0,64}\d)[A-Za-z0-9]{16,}"),
    re.compile(r"()(?<![A-Za-z0-9])(?:AIza[A-Za-z0-9_-]{16,}|A[KS]IA[A-Z0-9]{12,}|ya29\.[A-Za-z0-9_-]{8,})"),
    re.compile(r"()(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"),
)


def redact(text: str, known: Iterable[str] = ()) -> str:
    """`text` with every credential replaced by `[redacted]`. `known` are literal secrets of this process."""
    text = mask_known(text, known)
    for field in (_FIELD, _HEADER_PAIR, _HEADER, _PLAIN_FIELD):
        text = field.sub(_mask_value, text)
    for shape in _SHAPES:
        text = shape.sub(lambda match: f"{match[1]}{MASK}", text)
    return text


def mask_known(text: str, known: Iterable[str]) -> str:
    """`text` without the literal secrets of this process, whatever they look like."""
    for secret in sorted(known, key=len, reverse=True):  # longest first: one may begin with another
        if len(secret) >= 4:
            text = text.replace(secret, MASK)
    return text


def redact_error(error: JackfieldError, known: Iterable[str] = ()) -> None:
    """Takes credentials out of all that `error` tells: a source may have put them into any of it."""
    secrets = tuple(known)
    error.message = redact(error.message, secrets)
    error.args = (error.message,)
    if redact(error.code, secrets) != error.code:
        error.code = error.default_code
    if error.param is not None and redact(error.param, secrets) != error.param:
        error.param = None


def _mask_value(match: re.Match[str]) -> str:
    groups = match.groupdict()
    if groups.get("cookie"):
        return f"{groups['cookie']}{MASK}"
    head = groups["head"]
    values = ((groups.get("open") or "", "escaped"), ('"', "double"), ("'", "single"), ("", "plain"))
    for quote, name in values:
        value = groups.get(name)
        if value is not None:
            return match[0] if _HARMLESS.fullmatch(value.strip()) else f"{head}{quote}{MASK}"
    return match[0]
