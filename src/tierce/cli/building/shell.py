"""`--on-error=shell`: a shell in the step that failed, before the build ends."""

from __future__ import annotations

from tierce.cli.excerpt import write_build_error
from tierce.client.containers import Containers, RunRequest
from tierce.errors import BuildError, TierceError, UsageError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable

    from tierce.cli.session import Session

MODES = ("shell",)


def check_on_error(mode: str, session: Session) -> None:
    """Refuse what cannot be done. Raises UsageError."""
    if mode not in MODES:
        raise UsageError(f"--on-error={mode}: unknown", hint=f"one of {', '.join(MODES)}")
    if not (session.stdin.isatty() and session.stdout.isatty()):
        raise UsageError(
            "--on-error=shell: standard input and output are not a terminal",
            hint="leave it out; a failed step is kept, and its error says how to look around in it",
        )


def with_shell(build: Callable[[], int], session: Session) -> int:
    """Build; when a step fails, open a shell in it. The status is the failure's all the same."""
    try:
        return build()
    except BuildError as error:
        if not error.failed_step:
            raise
        write_build_error(error, session.stderr)
        session.warn("this is a shell in the step; the build ends when it does")
        try:
            Containers(session.store).run(
                RunRequest(image=error.failed_step, stdin=True, terminal=True, remove=True)
            )
        except TierceError as reason:
            session.report(reason)
        return error.exit_code
