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
    if hidden:
        answer = _answer_unseen(session, question)
        return answer.rstrip("\r\n")
    answer = _answer(session, question)
    return answer.strip()


def _answer(session: Session, question: str) -> str:
    session.stdout.write(question)
    session.stdout.flush()
    answer = session.stdin.readline()
    if not answer:
        raise Cancelled("ask for input: end of file")
    return answer


def _answer_unseen(session: Session, question: str) -> str:
    import termios  # for those who type a secret

    descriptor = session.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    quiet = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    # Before the question: who answers at once is not seen either. What was typed ahead is taken.
    termios.tcsetattr(descriptor, termios.TCSADRAIN, quiet)
    try:
        answer = _answer(session, question)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        session.stdout.write("\n")
        session.stdout.flush()
    return answer
