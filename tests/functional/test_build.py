"""`tierce build`: what it takes, what it says, and what it makes."""

import base64
import hashlib
import json
import re
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from support.program import Tierce, write_context

ID = re.compile(r"sha256:[0-9a-f]{64}")
EPOCH = "1600000000"


def inspected(program: Tierce, image: str) -> dict[str, Any]:
    [document] = json.loads(program.run("inspect", image).stdout)
    assert isinstance(document, dict)
    return document


def layers(program: Tierce, image: str, directory: Path) -> list[dict[str, tarfile.TarInfo]]:
    """What is in each layer of an image, by path, read from an archive of it."""
    directory.mkdir(exist_ok=True)
    path = directory / "image.tar"
    program.run("save", "-o", str(path), image)
    found = []
    with tarfile.open(path) as archive:
        listed = archive.extractfile("manifest.json")
        assert listed is not None
        for name in json.load(listed)[0]["Layers"]:
            with tarfile.open(fileobj=archive.extractfile(name)) as layer:
                found.append({member.name.rstrip("/"): member for member in layer})
    return found


# Where things come from


def test_dockerfile_by_path_below_the_context_and_from_standard_input(
    shared: Tierce, tmp_path: Path
) -> None:
    text = "FROM golden-base\nLABEL which={}\nCOPY file /file\n"
    context = write_context(
        tmp_path / "context",
        text.format("default"),
        {"file": "x", "below/other": text.format("below")},
    )
    elsewhere = write_context(tmp_path / "elsewhere", text.format("elsewhere"))
    label = ("inspect", "-f", "{{.Config.Labels.which}}", "which")
    for flags, given, expected in (
        ((), None, "default"),
        (("-f", "below/other"), None, "below"),
        (("-f", str(context / "below/other")), None, "below"),
        (("-f", str(elsewhere / "Dockerfile")), None, "elsewhere"),
        (("-f", "-"), text.format("input"), "input"),
    ):
        shared.build(context, "-t", "which", *flags, text=given)
        assert shared.run(*label).stdout == f"{expected}\n"
    shared.build(Path("-"), "-t", "which", text="FROM golden-base\nLABEL which=none\n")
    assert shared.run(*label).stdout == "none\n"


def test_relative_context_and_a_name_with_odd_characters(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(
        tmp_path / "a context, näive", "FROM golden-base\nCOPY . /all/\n", {"ö ü/%41": "odd"}
    )
    shared.run("build", "-t", "odd", ".", cwd=context)
    assert shared.output("odd", "cat", "/all/ö ü/%41") == "odd"
    shared.run("build", "-t", "odd", context.name, cwd=tmp_path)


def test_ignored_files_stay_out(shared: Tierce, tmp_path: Path) -> None:
    files = {
        ".dockerignore": "*\n!kept\n!dir\ndir/**/*.log\n",
        "kept": "",
        "other": "",
        "dir/file": "",
        "dir/a.log": "",
        "dir/deep/b.log": "",
        "dir/deep/b.txt": "",
    }
    context = write_context(tmp_path, "FROM golden-base\nCOPY . /all/\n", files)
    shared.build(context, "-t", "ignoring")
    found = shared.output("ignoring", "find", "/all", "-type", "f").split()
    assert sorted(found) == ["/all/dir/deep/b.txt", "/all/dir/file", "/all/kept"]


# What is said, and where


def test_quiet_says_the_image_id_and_nothing_else(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(tmp_path, "FROM golden-base\nRUN echo loud\n")
    outcome = shared.run("build", "-q", str(context))
    assert ID.fullmatch(outcome.stdout.removesuffix("\n"))
    assert outcome.stderr == ""
    outcome = shared.run("build", "--progress=quiet", str(context))
    assert outcome.stdout + outcome.stderr == ""


def test_image_id_goes_to_a_file_and_all_tags_to_the_image(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(tmp_path / "context", "FROM golden-base\nLABEL tagged=yes\n")
    names = ["one", "two:2", "example.com:5000/deep/er:tag"]
    flags = [word for name in names for word in ("-t", name)]
    outcome = shared.build(context, *flags, "--iidfile", str(tmp_path / "id"))
    image = (tmp_path / "id").read_text()
    assert ID.fullmatch(image)
    assert outcome.stdout == ""
    assert f"writing image {image}" in outcome.stderr
    assert "naming to docker.io/library/two:2" in outcome.stderr
    for name in names:
        assert inspected(shared, name)["Id"] == image
    assert set(inspected(shared, image)["RepoTags"]) == {"one:latest", *names[1:]}


def test_tag_moves_and_leaves_the_old_image_without_a_name(shared: Tierce, tmp_path: Path) -> None:
    first = shared.image_id(write_context(tmp_path, "FROM golden-base\nENV A=1\n"), "-t", "moving")
    second = shared.image_id(write_context(tmp_path, "FROM golden-base\nENV A=2\n"), "-t", "moving")
    assert first != second
    assert inspected(shared, "moving")["Id"] == second
    assert inspected(shared, first)["RepoTags"] == []


def test_failed_build_moves_no_tag_and_writes_no_id(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(tmp_path / "context", "FROM golden-base\nENV A=kept\n")
    image = shared.image_id(context, "-t", "kept")
    write_context(context, "FROM golden-base\nRUN false\n")
    shared.build(context, "-t", "kept", "--iidfile", str(tmp_path / "id"), status=1)
    assert inspected(shared, "kept")["Id"] == image
    assert not (tmp_path / "id").exists()


def test_plain_progress_numbers_the_steps(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(
        tmp_path,
        "FROM golden-base AS builder\nRUN echo to stdout; printf 'no end'\n"
        "RUN echo to stderr >&2\nFROM golden-base\nCOPY --from=builder /data/file /copied\n",
    )
    text = shared.build(context, "-t", "plain").stderr
    assert "[internal] load build definition from Dockerfile\n" in text
    assert "[builder 2/3] RUN echo to stdout" in text
    assert "[stage-1 2/2] COPY --from=builder /data/file /copied\n" in text
    for line in ("to stdout", "to stderr", "no end"):
        assert re.search(rf"^#\d+ \d+\.\d+ {line}$", text, re.MULTILINE)
    assert re.search(r"^#\d+ naming to docker.io/library/plain:latest done$", text, re.MULTILINE)
    again = shared.build(context).stderr
    assert len(re.findall(r"^#\d+ CACHED$", again, re.MULTILINE)) == 3


def test_rawjson_progress_is_a_stream_of_buildkits_events(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(tmp_path, "FROM golden-base\nRUN echo raw; echo json >&2\n")
    lines = shared.run("build", "--progress=rawjson", str(context)).stderr.splitlines()
    events = [json.loads(line) for line in lines]
    vertices = [each for event in events for each in event.get("vertexes", ())]
    [step] = {each["digest"] for each in vertices if each["name"].startswith("[2/2] RUN")}
    assert any(each.get("completed") for each in vertices if each["digest"] == step)
    logs = [each for event in events for each in event.get("logs", ()) if each["vertex"] == step]
    said = {each["stream"]: base64.b64decode(each["data"]) for each in logs}
    assert said == {1: b"raw\n", 2: b"json\n"}


def test_failing_step_shows_its_output_its_place_and_its_exit_code(
    shared: Tierce, tmp_path: Path
) -> None:
    context = write_context(
        tmp_path,
        "FROM golden-base\n\nRUN echo fine\nRUN echo some output; \\\n    exit 3\nRUN echo later\n",
    )
    text = shared.build(context, status=1).stderr
    block, _, excerpt = text.partition("------\n > [3/4] RUN echo some output;")[2].partition(
        "------\n"
    )
    assert re.search(r"^\d+\.\d+ some output$", block, re.MULTILINE)
    excerpt, _, hint = excerpt.partition("hint: ")
    assert hint.startswith("look around in the step: tierce container run -it ")
    assert excerpt == (
        "Dockerfile:4\n"
        "--------------------\n"
        "   3 |     RUN echo fine\n"
        "   4 | >>> RUN echo some output; \\\n"
        "   5 | >>>     exit 3\n"
        "   6 |     RUN echo later\n"
        "--------------------\n"
        'ERROR: process "/bin/sh -c echo some output;     exit 3" did not complete successfully:'
        " exit code: 3\n"
    )
    assert "] RUN echo later" not in text
    # What came before is in the cache, what failed is not.
    text = shared.build(context, status=1).stderr
    assert re.search(r"^#\d+ CACHED$", text, re.MULTILINE)
    assert "some output" in text


@pytest.mark.parametrize(
    ("instruction", "output", "code"),
    [
        ('RUN ["nosuch", "x"]', 'exec: "nosuch": executable file not found in $PATH', 127),
        ("RUN nosuch x", "nosuch: not found", 127),
        ('RUN ["/etc/passwd"]', 'exec: "/etc/passwd": permission denied', 126),
        ("RUN sh -c 'kill -9 $$'; exit $?", "", 137),
    ],
)
def test_command_that_cannot_run_is_told(
    shared: Tierce, tmp_path: Path, instruction: str, output: str, code: int
) -> None:
    context = write_context(tmp_path, f"FROM golden-base\n{instruction}\n")
    text = shared.build(context, status=1).stderr.partition("hint: ")[0]
    assert text.endswith(f"did not complete successfully: exit code: {code}\n")
    assert output in text


def test_all_output_of_a_step_is_in_its_log(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(tmp_path, "FROM golden-base\nRUN seq 1 750000; exit 9\n")
    before = set(shared.root.glob("logs/*"))
    text = shared.run("build", "-q", str(context), status=1).stderr
    [log] = set(shared.root.glob("logs/*")) - before
    expected = b"".join(b"%d\n" % number for number in range(1, 750001))
    assert len(expected) > 5_000_000
    assert log.read_bytes() == expected
    assert str(log) in text
    assert "750000" in text


# Arguments, labels, targets


def test_build_arguments_come_from_the_command_line_and_the_environment(
    shared: Tierce, tmp_path: Path
) -> None:
    context = write_context(
        tmp_path,
        "ARG BASE=nosuch\nFROM $BASE\nARG GIVEN=default\nARG ABSENT=default\nARG TAKEN\nARG UNSET\n"
        "RUN echo $GIVEN $ABSENT $TAKEN ${UNSET-unset} > /arguments\n",
    )
    flags = ("--build-arg", "BASE=golden-base", "--build-arg", "GIVEN=a b", "--build-arg", "TAKEN")
    shared.build(
        context,
        *(*flags, "--build-arg", "UNSET", "-t", "arguments"),
        environment={"TAKEN": "from outside", "ABSENT": "not asked for"},
    )
    assert shared.output("arguments", "cat", "/arguments") == ("a b default from outside unset\n")


def test_target_builds_that_stage_and_labels_win(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(
        tmp_path,
        "FROM golden-base AS wanted\nLABEL from=file both=file\nRUN echo wanted > /stage\n"
        "FROM wanted AS unwanted\nRUN false\n",
    )
    labels = ("--label", "both=flag", "--label", "added=yes", "--label", "empty")
    shared.build(context, "--target", "Wanted", *labels, "-t", "target")
    assert shared.output("target", "cat", "/stage") == "wanted\n"
    assert inspected(shared, "target")["Config"]["Labels"] == {
        "added": "yes",
        "both": "flag",
        "empty": "",
        "from": "file",
    }


# Stages, mounts, isolation


def test_files_come_from_stages_and_images(shared: Tierce, tmp_path: Path) -> None:
    shared.build(
        write_context(
            tmp_path / "source", "FROM scratch\nCOPY file /deep/file\n", {"file": "image"}
        ),
        *("-t", "source"),
    )
    dockerfile = """\
FROM golden-base AS compile
RUN mkdir /out && echo program > /out/program && ln -s program /out/link
FROM scratch AS collect
COPY --from=compile /out/ /bin/
FROM golden-base
COPY --from=collect --chown=1000:50 --chmod=750 /bin/program /usr/bin/
COPY --from=source /deep /deep
COPY --from=0 /out/link /
"""
    shared.build(write_context(tmp_path / "context", dockerfile), "-t", "stages")
    assert shared.output("stages", "cat", "/usr/bin/program", "/deep/file", "/link") == (
        "program\nimageprogram\n"
    )
    assert shared.output("stages", "stat", "-c", "%a %u %g", "/usr/bin/program") == "750 1000 50\n"


def test_cache_mount_survives_steps_and_builds(shared: Tierce, tmp_path: Path) -> None:
    mount = "RUN --mount=type=cache,target=/cache,id=survives"
    for turn in ("first", "second"):
        context = write_context(
            tmp_path,
            f"FROM golden-base\n{mount} echo {turn} >> /cache/seen\n"
            f"{mount} cp /cache/seen /seen && echo {turn}\n",
        )
        shared.build(context, "-t", "survivor")
    assert shared.output("survivor", "cat", "/seen") == "first\nsecond\n"
    assert "cache" not in shared.output("survivor", "ls", "/").split()


def test_bind_mounts_show_context_and_stages_and_take_no_writes(
    shared: Tierce, tmp_path: Path
) -> None:
    dockerfile = """\
FROM golden-base AS other
RUN echo from stage > /file
FROM golden-base
RUN --mount=target=/context --mount=from=other,source=/file,target=/other \\
    cat /context/file /other > /seen; touch /context/new || echo refused >> /seen
"""
    context = write_context(tmp_path, dockerfile, {"file": "from context\n"})
    shared.build(context, "-t", "bound")
    assert shared.output("bound", "cat", "/seen") == "from context\nfrom stage\nrefused\n"
    assert sorted(path.name for path in context.iterdir()) == ["Dockerfile", "file"]


def test_network_none_has_no_interface_but_loopback(shared: Tierce, tmp_path: Path) -> None:
    # The names of interfaces are what is left when the two lines of the headline are gone.
    interfaces = "sed -n 's/^ *\\([^ :]*\\):.*/\\1/p' /proc/net/dev"
    dockerfile = f"FROM golden-base\nRUN {interfaces} > /interfaces\n"
    context = write_context(tmp_path, dockerfile)
    shared.build(context, "--network", "none", "-t", "offline")
    assert shared.output("offline", "cat", "/interfaces") == "lo\n"
    shared.build(context, "--network", "host", "-t", "online")
    expected = re.findall(r"^ *(\S+):", Path("/proc/net/dev").read_text(), re.MULTILINE)
    assert shared.output("online", "cat", "/interfaces").split() == expected


def test_added_hosts_are_known_and_leave_no_trace(shared: Tierce, tmp_path: Path) -> None:
    dockerfile = """\
FROM golden-base
RUN grep -w registry /etc/hosts > /hosts; test -s /etc/resolv.conf && hostname > /name
RUN echo nothing of the kind
"""
    context = write_context(tmp_path / "context", dockerfile)
    shared.build(context, "--add-host", "registry:10.1.2.3", "-t", "hosts")
    assert shared.output("hosts", "cat", "/hosts").split() == ["10.1.2.3", "registry"]
    *_, first, second = layers(shared, "hosts", tmp_path / "saved")
    # No /etc/hosts, /etc/resolv.conf, /proc, /sys, /dev, nor times of directories they are in.
    assert set(first) == {"hosts", "name"}
    assert set(second) == set()


def test_user_workdir_and_environment_reach_the_step(shared: Tierce, tmp_path: Path) -> None:
    dockerfile = """\
FROM golden-base
ENV GREETING="hello world"
WORKDIR /home/app/work
RUN chown app .
USER app:extra
RUN echo "$(id -u):$(id -g) $(pwd) $HOME $GREETING" > found
USER 4321
RUN id -u > /tmp/number
"""
    shared.build(write_context(tmp_path, dockerfile), "-t", "user")
    assert shared.output("user", "cat", "found") == (
        "1000:51 /home/app/work /home/app hello world\n"
    )
    assert shared.output("user", "cat", "/tmp/number") == "4321\n"
    config = inspected(shared, "user")["Config"]
    assert (config["User"], config["WorkingDir"]) == ("4321", "/home/app/work")


def test_steps_have_dockers_capabilities_and_no_more(shared: Tierce, tmp_path: Path) -> None:
    dockerfile = """\
FROM golden-base
RUN grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status > /status
RUN busybox mount -t tmpfs none /srv || echo refused > /mounting
RUN echo 1 > /proc/sys/kernel/hostname 2>/dev/null || echo refused > /writing
"""
    shared.build(write_context(tmp_path, dockerfile), "-t", "confined")
    status = dict(
        line.split(":\t") for line in shared.output("confined", "cat", "/status").splitlines()
    )
    assert status == {"CapEff": "00000000a80425fb", "NoNewPrivs": "0", "Seccomp": "2"}
    assert shared.output("confined", "cat", "/mounting", "/writing") == "refused\nrefused\n"


# What is made


def test_history_and_config_tell_how_the_image_was_made(shared: Tierce, tmp_path: Path) -> None:
    dockerfile = """\
FROM golden-base
COPY file /file
RUN echo one > /one
EXPOSE 80 53/udp
VOLUME /data/volume
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s CMD true
ENTRYPOINT ["cat"]
CMD ["/file"]
"""
    context = write_context(tmp_path, dockerfile, {"file": "content"})
    shared.build(context, "-t", "told")
    lines = shared.run(
        *("history", "--no-trunc", "--human=false"),
        *("--format", "{{.Size}}|{{.CreatedBy}}", "told"),
    ).stdout.splitlines()
    assert lines[:8] == [
        '0|CMD ["/file"]',
        '0|ENTRYPOINT ["cat"]',
        (
            "0|HEALTHCHECK {Test:[CMD-SHELL true] Interval:5s Timeout:0s StartPeriod:0s"
            " StartInterval:0s Retries:0}"
        ),
        "0|STOPSIGNAL SIGINT",
        "0|VOLUME [/data/volume]",
        "0|EXPOSE [53/udp 80/tcp]",
        "4|RUN /bin/sh -c echo one > /one # buildkit",
        "7|COPY file /file # buildkit",
    ]
    document = inspected(shared, "told")
    assert len(document["RootFS"]["Layers"]) == 4
    assert document["Config"]["ExposedPorts"] == {"53/udp": {}, "80/tcp": {}}
    assert document["Config"]["Volumes"] == {"/data/volume": {}}
    assert document["Config"]["StopSignal"] == "SIGINT"
    assert document["Config"]["Healthcheck"] == {
        "Test": ["CMD-SHELL", "true"],
        "Interval": 5_000_000_000,
    }
    upper = Path(document["GraphDriver"]["Data"]["UpperDir"])
    assert (upper / "one").read_text() == "one\n"
    assert shared.output("told") == "content"


@pytest.fixture
def stores(tmp_path: Path, stocked_root: Path) -> "list[Tierce]":
    """Two stores that know nothing of each other."""
    programs = []
    for name in ("first", "second"):
        shutil.copytree(stocked_root, tmp_path / name, symlinks=True)
        programs.append(Tierce(tmp_path / name))
    return programs


def test_same_sources_give_the_same_image_in_another_store(
    stores: "list[Tierce]", tmp_path: Path
) -> None:
    dockerfile = """\
FROM golden-base
WORKDIR /srv/made/here
COPY --chown=1000 . .
COPY --chmod=700 b /bin/
ADD a /a
LABEL made=again
CMD ["cat"]
"""
    images = []
    for program, name in zip(stores, ("here", "there"), strict=True):
        context = write_context(
            tmp_path / name / "context", dockerfile, {"a": "a", "b": "b", "c/d": "d"}
        )
        with program:
            images += [
                program.image_id(context, *flags, environment={"SOURCE_DATE_EPOCH": EPOCH})
                for flags in ((), ("--no-cache",))
            ]
            created = inspected(program, images[-1])["Created"]
            assert created == "2020-09-13T12:26:40Z"
    assert len(set(images)) == 1


def test_epoch_clamps_times_of_what_steps_make(shared: Tierce, tmp_path: Path) -> None:
    dockerfile = """\
FROM golden-base
RUN mkdir /new && echo x > /new/file && touch -d @1000 /new/old && ln -s file /new/link
"""
    context = write_context(tmp_path / "context", dockerfile)
    image = shared.image_id(context, "--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}")
    *_, layer = layers(shared, image, tmp_path / "saved")
    assert {name: member.mtime for name, member in layer.items()} == {
        "new": int(EPOCH),
        "new/file": int(EPOCH),
        "new/link": int(EPOCH),
        "new/old": 1000,
    }


def test_layer_of_a_snapshot_has_the_same_bytes_each_time(shared: Tierce, tmp_path: Path) -> None:
    context = write_context(tmp_path / "context", "FROM golden-base\nRUN cp -r /data /copy\n")
    shared.build(context, "-t", "same")
    digests = set()
    for name in ("one", "two"):
        path = tmp_path / name
        shared.run("save", "-o", str(path), "same")
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1
