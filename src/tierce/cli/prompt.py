"""Questions to the user."""

from __future__ import annotations

from tierce.errors import Cancelled

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


def asked(session: Session, question: str, *, hidden: bool = False) -> str:
    """What the user answers, without what is around it; `hidden`: nothing is shown meanwhile.

    The question goes to standard output, as docker's do. Raises Cancelled at the end of input.
    """
    session.stdout.write(question)
    session.stdout.flush()
    answer = _read_hidden(session) if hidden else session.stdin.readline()
    if hidden:
        session.stdout.write("\n")
        session.stdout.flush()
    if not answer:
        raise Cancelled("ask for input: end of file")
    return answer.rstrip("\r\n") if hidden else answer.strip()


def _read_hidden(session: Session) -> str:
    import termios  # for those who type a secret

    descriptor = session.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    quiet = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    # What was typed ahead is taken: scripts answer before they are asked.
    termios.tcsetattr(descriptor, termios.TCSADRAIN, quiet)
    try:
        return session.stdin.readline()
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
