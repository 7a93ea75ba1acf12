"""`--metadata-file`: what came of a build, as JSON in buildx's form."""

from __future__ import annotations

from binascii import b2a_base64

from tierce.archive.output import replaced_file
from tierce.dockerfile.gotext import parse_bool
from tierce.errors import BuildError, InvalidValue
from tierce.oci.document import dump

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from tierce.client.builds import BuildResult
    from tierce.export.image import Exported
    from tierce.solver.progress import VertexWarning

_WARNINGS = "BUILDX_METADATA_WARNINGS"
_MODE = 0o644


def write_metadata(path: str, result: BuildResult, environ: Mapping[str, str]) -> None:
    """Write the file, whole or not at all. Raises ArchiveError, BuildError.

    Of several outputs the last image is told of, as buildx does. A build without images has
    nothing to tell. With BUILDX_METADATA_WARNINGS=1 the warnings are in it too.
    """
    metadata: dict[str, Any] = {}
    for exported in result.exports:
        metadata |= _of_output(exported)
    if result.warnings and _wants_warnings(environ):
        metadata["buildx.build.warnings"] = [_of_warning(each) for each in result.warnings]
    with replaced_file(path, _MODE) as file:
        file.write(dump(dict(sorted(metadata.items())), indent=2))


def _of_output(exported: Exported) -> dict[str, Any]:
    if exported.manifest is None:
        return {}
    found: dict[str, Any] = {
        "containerimage.config.digest": str(exported.image_id),
        "containerimage.descriptor": exported.manifest.to_json(),
        "containerimage.digest": str(exported.manifest.digest),
    }
    if exported.names:
        found["image.name"] = ",".join(exported.names)
    return found


def _of_warning(warning: VertexWarning) -> dict[str, Any]:
    """As BuildKit's client writes it, where a text is bytes and so base64."""
    place = {"start": {"line": warning.line}, "end": {"line": warning.end_line or warning.line}}
    return {
        "vertex": warning.vertex,
        "level": 1,
        "short": _base64(warning.message),
        "detail": [_base64(text) for text in warning.detail],
        "url": warning.url,
        "sourceInfo": {"filename": warning.file},
        "range": [place] if warning.line else [],
    }


def _base64(text: str) -> str:
    return b2a_base64(text.encode("utf-8", "surrogateescape"), newline=False).decode()


def _wants_warnings(environ: Mapping[str, str]) -> bool:
    text = environ.get(_WARNINGS, "")
    try:
        return bool(text) and parse_bool(text)
    except InvalidValue as error:
        raise BuildError(f"read {_WARNINGS}: {error.message}") from error
