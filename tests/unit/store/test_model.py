"""Any order of operations leaves a sound store in which all that was kept can be read."""

import shutil
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from support.layers import add_snapshot, put_image
from tierce.errors import Conflict, NotFound
from tierce.oci.digest import Digest
from tierce.oci.reference import Reference
from tierce.store import Store
from tierce.store.check import check
from tierce.store.images import Image
from tierce.store.prune import prune_images, prune_records
from tierce.store.snapshots import Snapshot

NAMES = st.sampled_from(["a", "b", "c"])


class StoreMachine(RuleBasedStateMachine):
    """Snapshots that were made may be gone later: whoever uses them then is told."""

    snapshots: Bundle[int | None] = Bundle("snapshots")
    images: Bundle[Digest] = Bundle("images")

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="tierce-model-"))
        self.store = self.open()
        self.other = self.open()
        self.lease: AbstractContextManager[Any] | None = None
        self.under_lease: set[int] = set()

    def open(self) -> Store:
        return Store.open(self.directory / "store", self.directory / "run")

    def made(self, snapshot: Snapshot) -> int:
        if self.lease is not None:
            self.under_lease.add(snapshot.id)
        return snapshot.id

    def parent(self, number: int | None) -> Snapshot | None:
        return None if number is None else self.store.snapshots.get(number)

    @rule(target=snapshots)
    def scratch(self) -> None:
        return None

    @rule(target=snapshots, number=snapshots, name=NAMES, content=st.binary(max_size=3))
    def copy(self, number: int | None, name: str, content: bytes) -> Any:
        try:
            made = add_snapshot(self.store, self.parent(number), {f"d/{name}": content})
        except NotFound:
            return multiple()
        return self.made(made)

    @rule(target=snapshots, number=snapshots, name=NAMES)
    def run_step(self, number: int | None, name: str) -> Any:
        with self.store.leases.ensure("run"):
            try:
                active = self.store.snapshots.prepare(number)
            except NotFound:
                return multiple()
            (self.store.snapshots.directories(active).upper / name).write_text(name)
            return self.made(self.store.snapshots.commit(active))

    @rule(target=images, number=snapshots, author=NAMES)
    def build(self, number: int | None, author: str) -> Any:
        with self.store.leases.ensure("build"):
            try:
                if number is not None:
                    self.store.snapshots.finish([number])
                    chain = self.store.snapshots.chain(number)
                    if not self.store.snapshots.use(number):
                        return multiple()
                else:
                    chain = []
            except NotFound:
                return multiple()
            diff_ids = [layer.diff_id for layer in chain if layer.diff_id is not None]
            return put_image(self.store, diff_ids, author=author).manifest

    @rule(manifest=images, name=NAMES)
    def tag(self, manifest: Digest, name: str) -> None:
        try:
            self.store.images.tag(Reference.parse(name), manifest)
        except NotFound:
            assert all(image.manifest != manifest for image in self.store.images.list())

    @rule(name=NAMES, force=st.booleans())
    def remove(self, name: str, force: bool) -> None:
        try:
            self.store.images.remove(name, force=force)
        except (NotFound, Conflict):
            pass

    @rule(number=snapshots, key=NAMES)
    def record(self, number: int | None, key: str) -> None:
        try:
            self.store.records.add([key, "near"], number, key)
        except NotFound:
            assert number is not None

    @rule(key=NAMES)
    def find(self, key: str) -> None:
        record = self.store.records.find([key])
        if record is not None and record.snapshot is not None:
            self.store.snapshots.view(record.snapshot).lookup("a")
            self.made(self.store.snapshots.get(record.snapshot))

    @rule(number=snapshots)
    def unpack(self, number: int | None) -> None:
        if number is not None:
            try:
                self.store.snapshots.unpack(number)
            except NotFound:
                pass

    @rule()
    def take_lease(self) -> None:
        if self.lease is None:
            self.lease = self.store.leases.take("work")
            self.lease.__enter__()

    @rule()
    def release_lease(self) -> None:
        if self.lease is not None:
            self.lease.__exit__(None, None, None)
            self.lease = None
            self.under_lease.clear()

    @rule(unnamed=st.booleans(), records=st.booleans())
    def prune(self, unnamed: bool, records: bool) -> None:
        prune_images(self.other, unnamed_only=unnamed)
        if records:
            prune_records(self.other, with_images=True)
        self.other.collect()

    @invariant()
    def what_is_made_or_found_under_a_lease_stays(self) -> None:
        for number in self.under_lease:
            assert self.store.snapshots.exists(number)
            assert list(self.store.snapshots.view(number).walk())

    @invariant()
    def images_can_be_read(self) -> None:
        for image in self.store.images.list():
            self.read(image)

    def read(self, image: Image) -> None:
        for diff_id in self.store.images.config(image).diff_ids:
            with self.store.layers.open_tar(diff_id) as tar:
                assert Digest.of(tar.read()) == diff_id

    def teardown(self) -> None:
        self.release_lease()
        assert check(self.store).findings == ()
        self.other.close()
        self.store.close()
        shutil.rmtree(self.directory)


TestAnyOrderOfOperations = StoreMachine.TestCase
TestAnyOrderOfOperations.settings = settings(max_examples=15, stateful_step_count=25)
