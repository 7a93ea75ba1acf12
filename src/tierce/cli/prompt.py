"""Questions to the user."""

from __future__ import annotations

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session


def confirmed(session: Session, warning: str) -> bool:
    """Ask whether to go on; only "y" says yes, and so nobody who answers nothing."""
    session.stdout.flush()
    session.stderr.write(f"{warning}\nAre you sure you want to continue? [y/N] ")
    session.stderr.flush()
    answer = session.stdin.readline()
    if not answer.endswith("\n"):
        session.stderr.write("\n")
    return answer.strip().lower() == "y"
