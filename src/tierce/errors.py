"""Everything that tierce raises on purpose.

TierceError
├── UsageError                  the caller asked for something that makes no sense (exit 2)
├── InvalidValue                text that is not a digest, reference, platform, manifest …
├── NotFound                    an image, container, blob … that is not there
├── Conflict                    a name or a resource that something else holds
├── LayerError                  a tar stream that cannot be a layer
│   ├── CorruptLayer            cut short, or not a tar at all
│   └── UnsafeLayer             would reach outside its root, or exhaust the reader
├── DigestMismatch              content that is not what its digest says
├── ArchiveError                a docker or OCI archive that cannot be read
├── StoreError                  the store cannot do what it should
│   ├── StoreVersion            made by a newer tierce
│   └── StoreFull               no space left on its device
├── DockerfileError             a mistake in a Dockerfile, with its place
├── BuildError                  a build that failed
│   ├── StepFailed              a RUN step whose command exited with an error
│   └── SecretLeaked            a secret in what the build would have given out
├── RuntimeUnavailable          a program, kernel feature or privilege is missing
├── ContainerError              a container that could not be started (exit 125, 126, 127)
├── RegistryError               a registry that cannot be reached, or will not do what is asked
│   ├── AccessDenied            it wants credentials, other ones, or ones that may do more
│   └── RateLimited             it wants no more requests for now
├── CredentialsError            a config.json or a credential helper that cannot be used
└── Cancelled                   the user interrupted (exit 130)

The message says what was tried and why it failed, in lower case, with the thing's name in it:
"verb object: cause". `hint` says what the user can do. Facts are fields, never parsed from text.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` itself takes 9 ms to import; type checkers know the name
if TYPE_CHECKING:
    from typing import ClassVar


class TierceError(Exception):
    """Base of all; `message` is one line, `hint` what to do about it, or empty."""

    exit_code: int = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(TierceError):
    exit_code = 2


class InvalidValue(TierceError):
    """`value` is the text that does not parse."""

    def __init__(self, message: str, *, value: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.value = value


class NotFound(TierceError):
    """`kind` is what was looked for ("image", "container", "blob"), `name` which one."""

    def __init__(self, kind: str, name: str, message: str = "", *, hint: str = "") -> None:
        super().__init__(message or f"no such {kind}: {name}", hint=hint)
        self.kind = kind
        self.name = name


class Conflict(TierceError):
    pass


class LayerError(TierceError):
    """`entry` is the path in the layer at which it went wrong, or empty."""

    def __init__(self, message: str, *, entry: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.entry = entry


class CorruptLayer(LayerError):
    pass


class UnsafeLayer(LayerError):
    pass


class DigestMismatch(TierceError):
    def __init__(self, what: str, *, expected: str, actual: str) -> None:
        super().__init__(f"verify {what}: expected {expected}, got {actual}")
        self.expected = expected
        self.actual = actual


class ArchiveError(TierceError):
    pass


class StoreError(TierceError):
    pass


class StoreVersion(StoreError):
    pass


class StoreFull(StoreError):
    pass


class DockerfileError(TierceError):
    """A mistake in a Dockerfile.

    `line` and `end_line` count from 1 (0 when there is no place); `source` is the file's text
    and `file` its name, so that whoever shows the error can mark the lines.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str = "Dockerfile",
        line: int = 0,
        end_line: int = 0,
        source: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.file = file
        self.line = line
        self.end_line = end_line or line
        self.source = source


class BuildError(TierceError):
    """`vertex` is the name of the step that failed, or empty; the place as in DockerfileError.

    `failed_step` is the id under which what the step left is kept, or empty: a container can be
    run in its place.
    """

    def __init__(
        self,
        message: str,
        *,
        vertex: str = "",
        file: str = "",
        line: int = 0,
        end_line: int = 0,
        source: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.vertex = vertex
        self.file = file
        self.line = line
        self.end_line = end_line or line
        self.source = source
        self.failed_step = ""


class StepFailed(BuildError):
    """A command that exited with an error; `status` is its exit code, `command` its words.

    `log_tail` is the end of its output, ready to be shown; the whole is in `log_path`. When it is
    `classic`, the message is a sentence of docker's classic builder, to be shown as it is.
    """

    def __init__(
        self,
        message: str,
        *,
        vertex: str,
        command: tuple[str, ...],
        status: int,
        log_tail: str = "",
        log_path: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, vertex=vertex, hint=hint)
        self.command = command
        self.status = status
        self.log_tail = log_tail
        self.log_path = log_path
        self.classic = False


class SecretLeaked(BuildError):
    """A value that was to be kept is in what the build would have given out.

    `secret` says which, never what it is: "secret ID" or "build argument NAME".
    """

    def __init__(
        self,
        message: str,
        *,
        secret: str,
        vertex: str = "",
        file: str = "",
        line: int = 0,
        end_line: int = 0,
        source: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(
            message,
            vertex=vertex,
            file=file,
            line=line,
            end_line=end_line,
            source=source,
            hint=hint,
        )
        self.secret = secret


class RuntimeUnavailable(TierceError):
    pass


class ContainerError(TierceError):
    """`status` is what `container run` exits with: 125 ours, 126 not executable, 127 not found."""

    OURS: ClassVar[int] = 125
    NOT_EXECUTABLE: ClassVar[int] = 126
    COMMAND_NOT_FOUND: ClassVar[int] = 127

    def __init__(self, message: str, *, status: int = OURS, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.exit_code = status


class RegistryError(TierceError):
    """`status` is that of the answer, 0 without one; `code` is the OCI error's, or ""."""

    def __init__(self, message: str, *, status: int = 0, code: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code


class AccessDenied(RegistryError):
    pass


class RateLimited(RegistryError):
    """`retry_seconds` is how long the registry wants to be left alone, 0 if it does not say."""

    def __init__(self, message: str, *, retry_seconds: float = 0, hint: str = "") -> None:
        super().__init__(message, status=429, code="TOOMANYREQUESTS", hint=hint)
        self.retry_seconds = retry_seconds


class CredentialsError(TierceError):
    pass


class Cancelled(TierceError):
    exit_code = 130
