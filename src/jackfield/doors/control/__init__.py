"""The control door: the panel over HTTP, under /control/v1.

Litestar is loaded by `app.py` and nothing else here, on the first control request; importing this package loads it not.
"""

from typing import TYPE_CHECKING, Any

from jackfield.doors.control.panel import ControlPanel

if TYPE_CHECKING:
    from litestar.types import ASGIApp

__all__ = ["ControlPanel", "create_control_app"]


def create_control_app(panel: ControlPanel) -> "ASGIApp":
    """The ASGI app of the control door. Loads Litestar (about 0.3 s and 25 MB the first time)."""
    from jackfield.doors.control.app import build_app

    app: Any = build_app(panel)
    return app
