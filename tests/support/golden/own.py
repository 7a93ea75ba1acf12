"""tierce as a builder of golden cases."""

import tarfile
import tempfile
from pathlib import Path

from support.golden.cases import BuildFailed, Case
from support.golden.trees import FlatImage, read_archive
from tierce.builder import BuildRequest
from tierce.cli.limits import parse_ulimits
from tierce.client.archives import Archives
from tierce.client.builds import Builds
from tierce.errors import BuildError, DockerfileError, InvalidValue, NotFound, UsageError
from tierce.graph.ops import Limits
from tierce.store import Store
from tierce.worker.credentials import SecretSource


class TierceBuilder:
    """Builds into one store, which is given the bases first; cases share its cache."""

    def __init__(self, store: Store, bases: Path, isolation: str = "") -> None:
        self._store = store
        self._isolation = isolation
        with tempfile.TemporaryFile() as archive:
            with tarfile.open(fileobj=archive, mode="w") as tar:
                tar.add(bases, ".")
            archive.seek(0)
            Archives(store).load(archive)

    def build(self, case: Case, context: Path, dockerfile: Path) -> FlatImage:
        request = BuildRequest(
            context=case.main or str(context),
            dockerfile=case.file if case.main else str(dockerfile),
            contexts=tuple(case.contexts.items()),
            build_args=tuple(case.args.items()),
            labels=tuple(case.labels.items()),
            target=case.target,
            secrets=tuple(SecretSource(name, content=text.encode()) for name, text in case.secrets),
            add_hosts=case.hosts,
            allow=case.allow,
            network=case.network or "default",
            isolation=self._isolation,
            limits=Limits(ulimits=parse_ulimits(list(case.ulimits)), shm_size=case.shm_size),
        )
        try:
            result = Builds(self._store).build(request)
        except (BuildError, DockerfileError, InvalidValue, NotFound, UsageError) as error:
            raise BuildFailed(error.message) from error
        with tempfile.NamedTemporaryFile() as archive:
            Archives(self._store).save([str(result.image_id)], archive.name)
            return read_archive(Path(archive.name))
