import pytest

from tierce.client.changes import apply_changes
from tierce.errors import UsageError
from tierce.oci.config import ContainerConfig, ImageConfig


def changed(*changes: str, config: ContainerConfig = ContainerConfig()) -> ContainerConfig:  # noqa: B008 - immutable
    return apply_changes(ImageConfig("amd64", "linux", config=config), changes)


def test_instructions_change_the_config() -> None:
    config = changed(
        "ENV A=1",
        "env B=${A}2",
        'CMD ["run", "fast"]',
        "EXPOSE 80 53/udp",
        "LABEL x=y",
        "USER app",
        "VOLUME /data",
        "WORKDIR /srv",
        "STOPSIGNAL SIGINT",
        "HEALTHCHECK CMD true",
        "ONBUILD RUN make",
        'ENTRYPOINT ["/init"]',
    )
    assert config.cmd == ("run", "fast")
    assert config.entrypoint == ("/init",)
    assert config.env == ("A=1", "B=12")
    assert config.exposed_ports == ("53/udp", "80/tcp")
    assert config.labels == (("x", "y"),)
    assert config.user == "app"
    assert config.volumes == ("/data",)
    assert config.working_dir == "/srv"
    assert config.stop_signal == "SIGINT"
    assert config.healthcheck is not None
    assert config.on_build == ("RUN make",)


def test_config_of_the_image_is_the_base_of_changes() -> None:
    base = ContainerConfig(env=("PATH=/bin", "A=1"), cmd=("old",), on_build=("RUN first",))
    config = changed("ENV PATH=$PATH:/sbin", "ENTRYPOINT run", "ONBUILD RUN second", config=base)
    assert config.env == ("PATH=/bin:/sbin", "A=1")
    assert config.entrypoint == ("/bin/sh", "-c", "run")
    assert config.cmd is None  # that of the base was meant for another entrypoint
    assert config.on_build == ("RUN first", "RUN second")


def test_nothing_is_changed_by_no_changes() -> None:
    base = ContainerConfig(on_build=("RUN x",), env=("A=1",))
    assert changed(config=base) is base


def test_path_is_not_added_by_other_changes() -> None:
    assert changed("CMD run").env == ()
    assert changed("ENV PATH=/bin").env == ("PATH=/bin",)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ("RUN make", "RUN does not change the config"),
        ("COPY a b", "COPY does not change the config"),
        ("FROM scratch", "FROM does not change the config"),
        ("ARG a", "ARG does not change the config"),
        ("NONSENSE", "NONSENSE does not change the config"),
        ("ENV", "apply --change: ENV requires at least one argument"),
        ("EXPOSE x", "apply --change"),
        ("CMD run\nRUN make", "RUN does not change the config"),
    ],
)
def test_what_changes_more_than_the_config_is_refused(change: str, cause: str) -> None:
    with pytest.raises(UsageError, match=cause):
        changed(change)
