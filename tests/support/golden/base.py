"""The images that golden builds start from: a busybox and a tree full of corners, as OCI layout.

Made on the spot from the machine's static busybox, with the same bytes whoever builds on it. An
expectation mentions only what a build changed, so that it holds with every busybox.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from support.golden.contexts import tar_of

NAMES = ("golden-base", "golden-app")
MTIME = 1546398245  # 2019-01-02 03:04:05 UTC
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Fixed, so that the tree does not depend on how busybox was configured.
APPLETS = (
    "awk base64 basename cat chgrp chmod chown cmp cp cut date dd dirname du echo env expr false "
    "find grep head hostname id ln ls md5sum mkdir mkfifo mknod mktemp mv nproc od printenv "
    "printf ps pwd readlink realpath rm rmdir sed seq sh sha256sum sleep sort stat sync tail tar "
    "tee test touch tr true truncate uname uniq wc which whoami xargs"
).split()

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
web:x:33:33:web:/var/www:/bin/sh
app:x:1000:1000:app:/home/app:/bin/sh
twin:x:1000:1001:another name of the same user:/home/twin:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
"""
GROUP = """\
root:x:0:
web:x:33:
staff:x:50:app
extra:x:51:web,app
app:x:1000:
nogroup:x:65534:
"""

_CAPABILITY = "0x0100000200040000000000000000000000000000"  # cap_net_bind_service+ep

FIRST_LAYER: list[dict[str, Any]] = [
    {"path": "bin", "dir": True},
    *({"path": f"bin/{name}", "symlink": "busybox"} for name in APPLETS),
    {"path": "data", "dir": True},
    {"path": "data/abs-link-to-dir", "symlink": "/data/dir"},
    {"path": "data/capable", "text": "capable\n", "xattrs": {"security.capability": _CAPABILITY}},
    {"path": "data/chain", "symlink": "link-to-dir"},
    {"path": "data/dangling", "symlink": "nowhere"},
    {"path": "data/dangling-abs", "symlink": "/data/not/there"},
    {"path": "data/dir", "dir": True},
    {"path": "data/dir/old.txt", "text": "old\n"},
    {"path": "data/dir/sub", "dir": True, "mode": 0o711},
    {"path": "data/dir/sub/deep.txt", "text": "deep\n", "owner": [1000, 50]},
    {"path": "data/escape", "symlink": "../../../../data/dir"},
    {"path": "data/fifo", "fifo": True},
    {"path": "data/file", "text": "base file\n"},
    {"path": "data/gone", "text": "the second layer removes this\n"},
    {"path": "data/hard1", "text": "hard\n"},
    {"path": "data/hard2", "hardlink": "data/hard1"},
    {"path": "data/hidden", "dir": True},
    {"path": "data/hidden/below", "text": "the second layer hides this\n"},
    {"path": "data/link-to-dir", "symlink": "dir"},
    {"path": "data/link-to-file", "symlink": "file"},
    {"path": "data/loop", "symlink": "loop"},
    {"path": "data/noted", "text": "noted\n", "xattrs": {"user.note": "base"}},
    {"path": "data/private", "dir": True, "mode": 0o700, "owner": [1000, 1000]},
    {"path": "data/private/keep", "text": "keep\n", "mode": 0o600, "owner": [1000, 1000]},
    {"path": "data/setgid", "dir": True, "mode": 0o2775, "owner": [0, 50]},
    {"path": "data/setuid", "text": "setuid\n", "mode": 0o4755},
    {"path": "data/sticky", "dir": True, "mode": 0o1777},
    {"path": "dev", "dir": True},
    {"path": "etc", "dir": True},
    {"path": "etc/group", "text": GROUP},
    {"path": "etc/passwd", "text": PASSWD},
    {"path": "home", "dir": True},
    {"path": "home/app", "dir": True, "mode": 0o750, "owner": [1000, 1000]},
    {"path": "lib", "symlink": "usr/lib"},
    {"path": "opt", "dir": True},
    {"path": "proc", "dir": True},
    {"path": "root", "dir": True, "mode": 0o700},
    {"path": "srv", "dir": True},
    {"path": "sys", "dir": True},
    {"path": "tmp", "dir": True, "mode": 0o1777},
    {"path": "usr", "dir": True},
    {"path": "usr/bin", "dir": True},
    {"path": "usr/lib", "dir": True},
    {"path": "usr/lib/library", "text": "library\n"},
    {"path": "var", "dir": True},
    {"path": "var/run", "symlink": "/run"},
]

SECOND_LAYER: list[dict[str, Any]] = [
    {"path": "data", "dir": True},
    {"path": "data/.wh.gone"},
    {"path": "data/hidden", "dir": True, "mode": 0o750},
    {"path": "data/hidden/.wh..wh..opq"},
    {"path": "data/hidden/above", "text": "above\n"},
]

PLAIN = {"Env": [f"PATH={PATH}"], "Cmd": ["/bin/sh"]}
APP = {
    "User": "app",
    "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
    "Env": [f"PATH={PATH}", "APP_HOME=/srv/app", "GREETING=hello world"],
    "Entrypoint": ["/bin/sh", "-c"],
    "Cmd": ["echo started"],
    "Volumes": {"/data/volume": {}},
    "WorkingDir": "/srv/app",
    "Labels": {"base": "yes", "version": "1"},
    "StopSignal": "SIGQUIT",
    "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 30000000000, "Retries": 2},
}


def write_base_layout(directory: Path, architecture: str) -> dict[str, str]:
    """Write all base images as one OCI layout; returns the manifest digest of each name."""
    (directory / "blobs/sha256").mkdir(parents=True)
    program = Path(shutil.which("busybox") or "").read_bytes()
    busybox = {"path": "bin/busybox", "hex": program.hex(), "mode": 0o755}
    layers = []
    for members in ([busybox, *FIRST_LAYER], SECOND_LAYER):
        dated = [{"mtime": MTIME} | member for member in members]
        layers.append(_store(directory, tar_of(dated), "layer.v1.tar"))
    manifests = []
    for name, settings in zip(NAMES, (PLAIN, APP), strict=True):
        config = {
            "created": "2019-01-02T03:04:05Z",
            "author": "golden",
            "architecture": architecture,
            "os": "linux",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
            "history": [
                {"created": "2019-01-02T03:04:05Z", "created_by": f"layer {number}"}
                for number in (1, 2)
            ],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _store(directory, _json(config), "config.v1+json"),
            "layers": layers,
        }
        described = _store(directory, _json(manifest), "manifest.v1+json")
        described["annotations"] = {
            "io.containerd.image.name": f"docker.io/library/{name}:latest",
            "org.opencontainers.image.ref.name": "latest",
        }
        manifests.append(described)
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    }
    (directory / "index.json").write_bytes(_json(index))
    (directory / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    return {name: item["digest"] for name, item in zip(NAMES, manifests, strict=True)}


def _store(directory: Path, content: bytes, kind: str) -> dict[str, Any]:
    hexadecimal = hashlib.sha256(content).hexdigest()
    (directory / "blobs/sha256" / hexadecimal).write_bytes(content)
    return {
        "mediaType": f"application/vnd.oci.image.{kind}",
        "digest": f"sha256:{hexadecimal}",
        "size": len(content),
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
