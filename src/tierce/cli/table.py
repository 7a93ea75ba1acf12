"""Every command there is: its path, its other names, one line on it; and the way to load it.

The table is all that the command line knows before it runs a command. The module of `image ls`
is `tierce.cli.commands.image.ls`, with `COMMAND` (see `tierce.cli.flags`) and `run(options,
session)`; it is imported when the command is run, so that a command pays for no other's imports.
"""

from __future__ import annotations

from tierce.cli.flags import nearest
from tierce.errors import UsageError
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

SUMMARY = "From a Dockerfile to a running, shared container image, without a daemon"

GROUPS = {
    "builder": "Manage the build cache",
    "container": "Manage containers",
    "context": "Manage contexts",
    "image": "Manage images",
    "manifest": "Manage image manifests and manifest lists",
    "network": "Manage networks",
    "system": "Manage the store as a whole",
    "volume": "Manage volumes",
}

COMMANDS = {
    "builder du": "Show the disk usage of the build cache",
    "builder prune": "Remove build cache",
    "container attach": "Attach local standard input, output, and error streams to a container",
    "container commit": "Create a new image from a container's changes",
    "container cp": "Copy files/folders between a container and the local filesystem",
    "container create": "Create a new container",
    "container exec": "Execute a command in a running container",
    "container diff": "Inspect changes to files or directories on a container's filesystem",
    "container export": "Export a container's filesystem as a tar archive",
    "container inspect": "Display detailed information on one or more containers",
    "container kill": "Kill one or more running containers",
    "container logs": "Fetch the logs of a container",
    "container ls": "List containers",
    "container pause": "Pause all processes within one or more containers",
    "container port": "List port mappings or a specific mapping for the container",
    "container prune": "Remove all stopped containers",
    "container rename": "Rename a container",
    "container restart": "Restart one or more containers",
    "container rm": "Remove one or more containers",
    "container run": "Create and run a new container from an image",
    "container start": "Start one or more stopped containers",
    "container stats": "Display a live stream of container(s) resource usage statistics",
    "container stop": "Stop one or more running containers",
    "container top": "Display the running processes of a container",
    "container unpause": "Unpause all processes within one or more containers",
    "container update": "Update configuration of one or more containers",
    "container wait": "Block until one or more containers stop, then print their exit codes",
    "context inspect": "Display detailed information on one or more contexts",
    "context ls": "List contexts",
    "context show": "Print the name of the current context",
    "context use": "Set the current docker context",
    "image bootstrap": "Make a Debian or Ubuntu base image from its package archive",
    "image build": "Build an image from a Dockerfile",
    "image copy": "Copy an image from one registry to another",
    "image history": "Show the history of an image",
    "image import": "Import the contents from a tarball to create a filesystem image",
    "image inspect": "Display detailed information on one or more images",
    "image load": "Load an image from a tar archive or STDIN",
    "image ls": "List images",
    "image prune": "Remove unused images",
    "image pull": "Download an image from a registry",
    "image push": "Upload an image to a registry",
    "image referrers": "List what refers to an image in its registry",
    "image rm": "Remove one or more images",
    "image save": "Save one or more images to a tar archive (streamed to STDOUT by default)",
    "image tags": "List the tags of a repository in its registry",
    "image tag": "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    "inspect": "Return low-level information on objects of the store",
    "login": "Authenticate to a registry",
    "logout": "Log out from a registry",
    "network inspect": "Display detailed information on one or more networks",
    "network ls": "List networks",
    "manifest annotate": "Add additional information to a local image manifest",
    "manifest create": "Create a local manifest list for annotating and pushing to a registry",
    "manifest inspect": "Display an image manifest, or manifest list",
    "manifest push": "Push a manifest list to a repository",
    "manifest rm": "Delete one or more manifest lists from local storage",
    "search": "Search Docker Hub for images",
    "system check": "Verify the store, and repair what can be repaired",
    "system df": "Show disk usage",
    "system info": "Display system-wide information",
    "system prune": "Remove unused data",
    "system reset": "Remove the store with all that is in it",
    "version": "Show the version information",
    "volume create": "Create a volume",
    "volume inspect": "Display detailed information on one or more volumes",
    "volume ls": "List volumes",
    "volume prune": "Remove unused local volumes",
    "volume rm": "Remove one or more volumes",
}

WITHOUT_NAMESPACE = frozenset(
    (
        *("context inspect", "context ls", "context show", "context use", "image history"),
        *("image inspect", "image ls", "image tag", "login", "logout", "search", "version"),
        *("image referrers", "image tags", "manifest annotate", "manifest create"),
        *("manifest inspect", "manifest rm"),
        "image bootstrap",  # mmdebstrap makes a namespace of its own, and mounts in it
    )
)
"""What ordinary users do to rows of the store alone, or to nothing: it needs no privilege."""

INTERNAL = {
    "container cleanup": "Clear up after a container that has ended",
    "container probe": "Run the health check of a container once",
}
"""Commands that tierce has others call; no help shows them."""

ALIASES = {
    "attach": "container attach",
    "build": "image build",
    "builder build": "image build",
    "commit": "container commit",
    "container list": "container ls",
    "container ps": "container ls",
    "container remove": "container rm",
    "cp": "container cp",
    "context list": "context ls",
    "create": "container create",
    "exec": "container exec",
    "diff": "container diff",
    "export": "container export",
    "history": "image history",
    "image list": "image ls",
    "image remove": "image rm",
    "images": "image ls",
    "import": "image import",
    "info": "system info",
    "kill": "container kill",
    "load": "image load",
    "logs": "container logs",
    "network list": "network ls",
    "pause": "container pause",
    "port": "container port",
    "ps": "container ls",
    "pull": "image pull",
    "push": "image push",
    "rename": "container rename",
    "restart": "container restart",
    "rm": "container rm",
    "rmi": "image rm",
    "run": "container run",
    "save": "image save",
    "start": "container start",
    "stats": "container stats",
    "stop": "container stop",
    "tag": "image tag",
    "tag ls": "image tags",
    "top": "container top",
    "unpause": "container unpause",
    "volume list": "volume ls",
    "volume remove": "volume rm",
    "update": "container update",
    "wait": "container wait",
}

COMMON = ("run", "build", "ps", "images", "version", "info")
"""What the help of `tierce` itself shows first."""


class Found(Value):
    """What the words of a command line name: a command, or a group (whose `rest` is empty)."""

    path: str
    rest: tuple[str, ...]
    is_group: bool = False


def find(words: Sequence[str]) -> Found:
    """The command that the words begin with; UsageError when there is none.

    `words` begins with a word that is not a flag.
    """
    first = words[0]
    if first in ALIASES:
        # `tag` is a command, and `tag ls` another one.
        longer = ALIASES.get(" ".join(words[:2]))
        if longer is not None:
            return Found(longer, tuple(words[2:]))
        return Found(ALIASES[first], tuple(words[1:]))
    if first in GROUPS or any(alias.startswith(f"{first} ") for alias in ALIASES):
        if len(words) < 2 or words[1] in {"--help", "-h"}:
            if first not in GROUPS:
                raise unknown(first)
            return Found(first, (), is_group=True)
        if words[1].startswith("-"):
            raise UsageError(f"unknown flag: {words[1]}", hint=f"'{first}' takes a command")
        path = f"{first} {words[1]}"
        path = ALIASES.get(path, path)
        if path not in COMMANDS and path not in INTERNAL:
            raise unknown(path)
        return Found(path, tuple(words[2:]))
    path = ALIASES.get(first, first)
    if path not in COMMANDS:
        raise unknown(first)
    return Found(path, tuple(words[1:]))


def unknown(path: str) -> UsageError:
    """The refusal of a path that is no command, naming the nearest that is one."""
    group, _, verb = path.rpartition(" ")
    if group in GROUPS:
        meant = nearest(verb, subcommands(group))
    else:
        meant = nearest(path, top_level())
    hint = f"did you mean '{f'{group} {meant}'.strip()}'?" if meant else ""
    return UsageError(f"'{path}' is not a tierce command.", hint=hint)


def subcommands(group: str) -> dict[str, str]:
    """The verbs of a group and one line on each."""
    prefix = f"{group} "
    return {
        path.removeprefix(prefix): short
        for path, short in COMMANDS.items()
        if path.startswith(prefix)
    }


def top_level() -> dict[str, str]:
    """Everything that may stand first, groups included, and one line on each."""
    names = {path: short for path, short in COMMANDS.items() if " " not in path}
    names |= {alias: COMMANDS[path] for alias, path in ALIASES.items() if " " not in alias}
    return names | GROUPS


def aliases(path: str) -> list[str]:
    """The other names of a command, those of its group first."""
    names = [alias for alias, target in ALIASES.items() if target == path]
    return sorted(names, key=lambda name: (" " not in name, name))


def load(path: str) -> ModuleType:
    """The module of a command."""
    module = path.replace(" ", ".")
    if module.endswith(".import"):
        module += "_"  # no module can be named by a keyword
    return load_module(f"tierce.cli.commands.{module}")


def load_module(name: str) -> ModuleType:
    """Import what a command needs only when it needs it: the store, the failure report."""
    return __import__(name, fromlist=("",))
