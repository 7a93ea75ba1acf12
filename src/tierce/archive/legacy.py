"""Reads archives of docker before 1.10: a `repositories` file, and a directory for each layer.

There a layer was an image: VERSION, json (its config and its parent's id) and layer.tar. What
docker made of them when it came to content-addressed images is made here (moby's image
specification v1.0 and v1.1, "Combined Image JSON + Filesystem Changeset Format").
"""

from __future__ import annotations

from tierce.archive.extent import CHUNK, Extent
from tierce.archive.found import FoundImage, FoundLayer, FoundTarget
from tierce.archive.names import REPOSITORIES
from tierce.archive.source import archive_errors, member, read
from tierce.errors import ArchiveError
from tierce.layer.compression import open_decompressed
from tierce.oci import document
from tierce.oci.config import ContainerConfig, History, ImageConfig, read_time
from tierce.oci.digest import Digest, new_hash
from tierce.oci.reference import Reference

TYPE_CHECKING = False  # `typing` itself is costly to import; type checkers know the name
if TYPE_CHECKING:
    from tierce.archive.source import Archive
    from tierce.oci.document import Fields

_JSON_LIMIT = 8 << 20
_LAYERS_LIMIT = 1024
_HEX = "0123456789abcdef"


def read_legacy(archive: Archive) -> list[FoundTarget]:
    """The images that `repositories` names. Raises ArchiveError, InvalidValue."""
    fields = document.load_object(
        read(archive, REPOSITORIES, _JSON_LIMIT), REPOSITORIES, size_limit=_JSON_LIMIT
    )
    names: dict[str, list[Reference]] = {}
    for repository in fields.names():
        for tag, identifier in fields.text_map(repository):
            names.setdefault(identifier, []).append(Reference.parse(f"{repository}:{tag}"))
    reader = _LegacyReader(archive)
    return [
        FoundTarget(tuple(found), (reader.image(identifier),))
        for identifier, found in names.items()
    ]


class _LegacyReader:
    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._diff_ids: dict[str, Digest] = {}

    def image(self, identifier: str) -> FoundImage:
        """The image whose topmost layer this is."""
        chain = self._chain(identifier)
        layers, history = [], []
        for place, step in chain:
            empty = step.flag("throwaway")
            history.append(_history(step, empty))
            if not empty:
                content = member(self._archive, f"{place}/layer.tar")
                layers.append(FoundLayer(content, self._diff_id(place, content)))
        top = chain[-1][1]
        settings = top.object("config")
        config = ImageConfig(
            architecture=top.text("architecture", "amd64"),
            os=top.text("os", "linux"),
            created=history[-1].created,
            author=top.text("author"),
            config=ContainerConfig() if settings is None else ContainerConfig.from_json(settings),
            diff_ids=tuple(layer.diff_id for layer in layers),
            history=tuple(history),
            docker_version=top.text("docker_version"),
        )
        return FoundImage(config, config.encode(), tuple(layers))

    def _chain(self, identifier: str) -> list[tuple[str, Fields]]:
        """The layers down to the lowest, as (directory, json), lowest first."""
        chain: list[tuple[str, Fields]] = []
        while identifier:
            if len(identifier) != 64 or identifier.strip(_HEX):
                raise ArchiveError(f"read archive: {identifier[:200]!a} is not the id of a layer")
            if len(chain) == _LAYERS_LIMIT:
                raise ArchiveError(f"read archive: more than {_LAYERS_LIMIT} layers on each other")
            name = f"{identifier}/json"
            raw = read(self._archive, name, _JSON_LIMIT)
            step = document.load_object(raw, name, size_limit=_JSON_LIMIT)
            chain.append((identifier, step))
            identifier = step.text("parent")
        if not chain:
            raise ArchiveError(f"read archive: {REPOSITORIES} names an empty layer id")
        return chain[::-1]

    def _diff_id(self, place: str, content: Extent) -> Digest:
        """Nothing in these archives says what a layer's digest is."""
        if place not in self._diff_ids:
            digester = new_hash()
            with archive_errors(), open_decompressed(content.buffered()) as plain:
                while chunk := plain.read(CHUNK):
                    digester.update(chunk)
            self._diff_ids[place] = Digest.from_hash(digester)
        return self._diff_ids[place]


def _history(step: Fields, empty: bool) -> History:
    made_by = step.object("container_config")
    command = () if made_by is None else made_by.texts("Cmd") or ()
    return History(
        created=read_time(step, "created"),
        created_by=" ".join(command),
        comment=step.text("comment"),
        author=step.text("author"),
        empty_layer=empty,
    )
