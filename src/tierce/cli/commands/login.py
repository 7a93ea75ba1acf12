"""`tierce login`: credentials for a registry."""

from __future__ import annotations

from tierce.cli.flags import Command, Flag, Parsed
from tierce.cli.prompt import asked
from tierce.client.registries import HUB, Credential, Registries, key_of
from tierce.errors import AccessDenied, CredentialsError

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.cli.session import Session

COMMAND = Command(
    name="login",
    usage="[OPTIONS] [SERVER]",
    short="Authenticate to a registry",
    flags=(
        Flag("password", "p", kind="string",
             help='Password or Personal Access Token (PAT), or "-" to read from stdin'),
        Flag("password-stdin",
             help="Take the Password or Personal Access Token (PAT) from stdin"),
        Flag("username", "u", kind="string", help="Username"),
    ),
    maximum=1,
    details="Defaults to Docker Hub if no server is specified.",
)  # fmt: skip

_REGISTER = (
    "Log in with your Docker ID or email address to push and pull images from Docker Hub. If you "
    "don't have a Docker ID, head over to https://hub.docker.com/ to create one."
)
_IN_CLEAR = """
WARNING! Your credentials are stored unencrypted in '{file}'.
Configure a credential helper to remove this warning. See
https://docs.docker.com/go/credential-store/
"""


def run(options: Parsed, session: Session) -> int:
    """Log in with what is given or, without that, with what is stored; else ask for it."""
    server = options.arguments[0] if options.arguments else ""
    password = _given_password(options, session)
    user = options.text("username").strip()
    registries = Registries(session.environ)
    stored = Credential()
    if not user and not password:
        stored = registries.credential(server)
        if stored.username and stored.password and _is_valid(session, registries, server, stored):
            session.print("Login Succeeded")
            return 0
    if not (user and password) and not session.stdin.isatty():
        raise CredentialsError("error: cannot perform an interactive login from a non-TTY device")
    credential = _asked_for(session, server, user, password, stored.username)
    done = registries.log_in(server, credential)
    if done.in_clear:
        session.warn(_IN_CLEAR.format(file=done.file))
    session.print("Login Succeeded")
    return 0


def _given_password(options: Parsed, session: Session) -> str:
    password = options.text("password")
    from_stdin = options.flag("password-stdin") or password == "-"
    if from_stdin:
        if options.given("password") and password != "-":
            raise CredentialsError(
                "conflicting options: cannot specify both --password and --password-stdin"
            )
        if not options.given("username"):
            raise CredentialsError("the --password-stdin option requires --username to be set")
    if options.given("username") and not options.text("username"):
        raise CredentialsError("username is empty")
    if options.given("password") and not password:
        raise CredentialsError("password is empty")
    if from_stdin:
        # Only the end of the line goes: a password may begin or end with anything.
        password = session.stdin.read()
        for end in ("\r\n", "\n", "\r"):
            if password.endswith(end):
                password = password.removesuffix(end)
                break
        if not password.strip():
            raise CredentialsError("password is empty")
        return password
    if password:
        session.warn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
    return password


def _is_valid(session: Session, registries: Registries, server: str, stored: Credential) -> bool:
    session.warn(f"Authenticating with existing credentials... [Username: {stored.username}]\n")
    try:
        registries.log_in(server, stored)
    except AccessDenied:
        session.warn("Stored credentials invalid or expired")
        return False
    return True


def _asked_for(session: Session, server: str, user: str, password: str, default: str) -> Credential:
    if not user:
        if key_of(server) == HUB:
            session.print(_REGISTER)
        user = asked(session, f"Username ({default}): " if default else "Username: ") or default
        if not user:
            raise CredentialsError("error: username is required")
    if not password:
        password = asked(session, "Password: ", hidden=True)
        if not password:
            raise CredentialsError("error: password is required")
    return Credential(user, password)
