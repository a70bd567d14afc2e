"""What a kernel prints, sent on before it fills the kernel's memory."""

from __future__ import annotations

from ipykernel.iostream import OutStream

_MOST_WAITING = 2**20


class PromptStream(OutStream):
    """Sends what was printed every 0.2 s, as any kernel does, and as soon as a million characters wait.

    A cell that prints without end writes gigabytes in 0.2 s: it would be ended for its memory, and its author would
    look for the fault in the wrong place.
    """

    _waiting = 0

    def write(self, string: str) -> int | None:
        """Print; who prints much waits until it was sent."""
        written = super().write(string)
        self._waiting += len(string)
        if self._waiting > _MOST_WAITING:
            self.flush()
        return written

    def flush(self) -> None:
        """Wait until what was printed is on its way; nothing was, most of the time."""
        if self._waiting:
            super().flush()

    def _flush(self) -> None:
        self._waiting = 0
        super()._flush()
