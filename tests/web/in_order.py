"""A Socket.IO client that hands events over in the order in which they came, as browsers do.

python-engineio's client starts a thread for every message it receives, and two of them may overtake one another: output
would seem to be lost or doubled where the server did nothing wrong. Here handlers run on the receiving thread.
"""

from __future__ import annotations

from typing import Any

import engineio
import socketio


class _Transport(engineio.Client):  # type: ignore[misc]  # engineio is untyped
    def _trigger_event(self, event: str, *args: Any, **options: Any) -> Any:
        return super()._trigger_event(event, *args, **{**options, "run_async": False})


class InOrderClient(socketio.Client):  # type: ignore[misc]  # socketio is untyped
    """See the module. A handler must not `call`: the answer would come on the thread that waits for it."""

    def _engineio_client_class(self) -> type[engineio.Client]:
        return _Transport
