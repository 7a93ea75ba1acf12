"""Shows a build while it goes on, in BuildKit's forms; see `make_renderer`."""

from __future__ import annotations

from tierce.cli.table import load_module
from tierce.errors import UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol, TextIO

    from tierce.solver.progress import Event

    class Renderer(Protocol):
        """A listener to a build's events, from any thread, that shows them on a stream."""

        def __call__(self, event: Event) -> None: ...

        def close(self, error: BaseException | None = None) -> None:
            """Show the end. With an error, the output of the steps that failed comes last, and
            the error itself is left to whoever has it. May be called twice.
            """


MODES = ("auto", "plain", "quiet", "rawjson", "tty")


def make_renderer(
    mode: str, stream: TextIO, environ: Mapping[str, str], *, debug: bool = False
) -> Renderer:
    """The renderer of `--progress=MODE`. Raises UsageError.

    "auto" (or an empty mode) is what BUILDKIT_PROGRESS says, else "tty" on a terminal and
    "plain" elsewhere. Colours follow NO_COLOR and BUILDKIT_COLORS, the number of lines of output
    that "tty" shows of a running step BUILDKIT_TTY_LOG_LINES. With `debug`, warnings are
    explained at the end.
    """
    if mode in {"", "auto"}:
        mode = environ.get("BUILDKIT_PROGRESS", "") or "auto"
    if mode == "auto":
        mode = "tty" if stream.isatty() else "plain"
    if mode not in MODES:
        raise UsageError(f"invalid progress mode: {mode}", hint=f"one of {', '.join(MODES)}")
    if mode == "tty" and not stream.isatty():
        raise UsageError("--progress=tty: standard error is not a terminal")
    # Each display has imports of its own; a build uses one.
    module = load_module(f"tierce.cli.progress.{mode}")
    renderer: Renderer = module.make(stream, environ, debug)
    return renderer
