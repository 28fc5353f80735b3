"""Ctrl-C, termination and a closed terminal all unwind the stack, so that nothing is left behind."""

import signal
from types import FrameType
from typing import Any

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interruption:
    """While entered, the signals raise KeyboardInterrupt, as Ctrl-C does.

    `happened` remembers it: an import or a native library may turn the exception into another on its way up.
    A signal that whoever started us has chosen to ignore (nohup, a shell's background job) stays ignored.
    """

    def __init__(self) -> None:
        self.happened = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        for number in _SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self._before[number] = signal.signal(number, self._raise)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def over(self) -> None:
        """From here on the process is about to end: a second Ctrl-C must not cut short what is said at the end."""
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.happened = True
        raise KeyboardInterrupt
