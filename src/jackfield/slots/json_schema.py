"""Whether an answer keeps the JSON Schema that was asked for. By the jsonschema library (extra `[schema]`), where it is there.

References within the schema are followed, none beyond it. Without the library nothing is checked, and the answer says so.
"""

import json
from typing import Any

KEPT, UNCHECKED = "kept", "unchecked"
BREACH_MAX_CHARS = 300


def breach_of(text: str, schema: dict[str, Any]) -> str | None:
    """What about the JSON text breaks the schema, for a person and for the model; None where nothing does.

    Raises ImportError without the library, ValueError for a schema that is none.
    """
    from jsonschema import SchemaError, validators
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    kind = validators.validator_for(schema)
    try:
        kind.check_schema(schema)
        breach = next(iter(kind(schema, registry=Registry()).iter_errors(json.loads(text))), None)
    except SchemaError as error:
        raise ValueError(f"it is no JSON Schema: {error.message[:BREACH_MAX_CHARS]}") from None
    except Unresolvable as error:
        raise ValueError(f"it refers to something outside itself: {str(error)[:BREACH_MAX_CHARS]}") from None
    if breach is None:
        return None
    where = "".join(f"[{step!r}]" for step in breach.absolute_path) or "the whole"
    return f"{where}: {breach.message[:BREACH_MAX_CHARS]}"
