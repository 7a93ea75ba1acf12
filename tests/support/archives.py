"""Makes image archives for tests, byte by byte, so that each of their parts can be made wrong."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

OCI = "application/vnd.oci.image"
INDEX_TYPE = f"{OCI}.index.v1+json"
MANIFEST_TYPE = f"{OCI}.manifest.v1+json"
CONFIG_TYPE = f"{OCI}.config.v1+json"
LAYER_TYPE = f"{OCI}.layer.v1.tar"

Members = dict[str, bytes]


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def blob_name(data: bytes) -> str:
    return f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"


def layer(files: Mapping[str, bytes] = {"etc/motd": b"hello\n"}, *, padding: int = 0) -> bytes:
    """The tar of a layer; `padding` makes it so many bytes larger."""
    content = dict(files)
    if padding:
        content["var/padding"] = bytes(padding)
    return tar(content)


def tar(members: Mapping[str, bytes], links: Mapping[str, str] = {}) -> bytes:
    """A tar of files, then symbolic links, with times of 0."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, target in links.items():
            member = tarfile.TarInfo(name)
            member.type = tarfile.SYMTYPE
            member.linkname = target
            archive.addfile(member)
    return buffer.getvalue()


def write_directory(path: Path, members: Mapping[str, bytes]) -> Path:
    """The members as files below a directory."""
    for name, data in members.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return path


def encoded(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


class ImageParts:
    """The documents and layers of one image. `compressed` layers are gzip."""

    def __init__(
        self,
        *layers: bytes,
        architecture: str = "amd64",
        compressed: bool = False,
        **config: Any,
    ) -> None:
        self.layers = layers or (layer(),)
        self.diff_ids = [sha256(data) for data in self.layers]
        self.blobs = [gzip.compress(data, mtime=0) for data in layers] if compressed else layers
        if not layers and not compressed:
            self.blobs = self.layers
        suffix = "+gzip" if compressed else ""
        self.config = encoded(
            {
                "architecture": architecture,
                "os": "linux",
                "config": {"Cmd": ["/bin/sh"]},
                "rootfs": {"type": "layers", "diff_ids": self.diff_ids},
            }
            | config
        )
        self.manifest = encoded(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": descriptor(self.config, CONFIG_TYPE),
                "layers": [descriptor(data, LAYER_TYPE + suffix) for data in self.blobs],
            }
        )
        self.id = sha256(self.config)
        self.platform = {"os": "linux", "architecture": architecture}

    def members(self) -> Members:
        return {blob_name(data): data for data in [*self.blobs, self.config, self.manifest]}


def descriptor(data: bytes, media_type: str, **members: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data)} | members


def names(*texts: str) -> list[dict[str, Any]]:
    """What to add to descriptors of index.json for names such as "docker.io/library/app:1"."""
    return [
        {
            "annotations": {
                "io.containerd.image.name": text,
                "org.opencontainers.image.ref.name": text.rpartition(":")[2],
            }
        }
        for text in texts
    ] or [{}]


def index_of(*parts: ImageParts, **members: Any) -> bytes:
    """An index of images for several platforms."""
    manifests = [descriptor(p.manifest, MANIFEST_TYPE, platform=p.platform) for p in parts]
    return encoded({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests} | members)


def layout(*targets: dict[str, Any]) -> Members:
    """The two documents of a layout that lists these descriptors."""
    return {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": encoded({"schemaVersion": 2, "manifests": list(targets)}),
    }


def oci_archive(parts: ImageParts, *texts: str) -> Members:
    """A layout with one image and its names."""
    targets = [descriptor(parts.manifest, MANIFEST_TYPE) | extra for extra in names(*texts)]
    return parts.members() | layout(*targets)


def docker_item(parts: ImageParts, *tags: str) -> dict[str, Any]:
    """The image's entry in manifest.json, in the form of today."""
    return {
        "Config": blob_name(parts.config),
        "RepoTags": list(tags) or None,
        "Layers": [blob_name(data) for data in parts.blobs],
    }


def docker_archive(parts: ImageParts, *tags: str) -> Members:
    """What `docker save` of today writes."""
    texts = [f"docker.io/library/{tag}" for tag in tags]
    return oci_archive(parts, *texts) | {"manifest.json": encoded([docker_item(parts, *tags)])}


def old_docker_archive(parts: ImageParts, *tags: str) -> tuple[Members, dict[str, str]]:
    """What docker 1.10 to 24 wrote: a directory for each layer; (members, links).

    A layer that occurs again is a link to where it was first.
    """
    members: Members = {}
    links: dict[str, str] = {}
    paths: list[str] = []
    first: dict[bytes, str] = {}
    for place, data in enumerate(parts.blobs):
        name = f"{place:064x}"
        members[f"{name}/VERSION"] = b"1.0"
        members[f"{name}/json"] = encoded({"id": name})
        if data in first:
            links[f"{name}/layer.tar"] = f"../{first[data]}/layer.tar"
        else:
            members[f"{name}/layer.tar"] = data
            first[data] = name
        paths.append(f"{name}/layer.tar")
    config = f"{parts.id.removeprefix('sha256:')}.json"
    members[config] = parts.config
    item = {"Config": config, "RepoTags": list(tags), "Layers": paths}
    members["manifest.json"] = encoded([item])
    members["repositories"] = encoded({tag.split(":")[0]: {} for tag in tags})
    return members, links
