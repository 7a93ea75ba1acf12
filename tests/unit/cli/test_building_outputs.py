import io
from pathlib import Path

import pytest

from tierce.cli.building.outputs import annotations_of, outputs_of
from tierce.cli.commands.image.build import COMMAND
from tierce.cli.flags import parse
from tierce.cli.session import Session
from tierce.errors import BuildError, UsageError
from tierce.export.outputs import (
    Annotation,
    ArchiveOutput,
    CacheOnly,
    Compression,
    Epoch,
    ImageOutput,
    LocalOutput,
    Output,
    TarballOutput,
    check_outputs,
)
from tierce.oci.platform import Platform

AMD64 = Platform("linux", "amd64")


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def session(*, terminal: bool = False) -> Session:
    kind = Terminal if terminal else io.TextIOWrapper
    return Session(stdin=io.StringIO(), stdout=kind(io.BytesIO()), stderr=io.StringIO(), environ={})


def outputs(*words: str, terminal: bool = False) -> tuple[Output, ...]:
    return outputs_of(parse(COMMAND, [*words, "."]), session(terminal=terminal))


def output(text: str) -> Output:
    [found] = outputs("-o", text)
    return found


def refusal(*words: str, terminal: bool = False) -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        outputs(*words, terminal=terminal)
    return caught.value.message, caught.value.hint


def test_short_forms_are_a_directory_and_a_tar_on_standard_output() -> None:
    assert output("out") == LocalOutput("out")
    assert output("out=dir") == LocalOutput("out=dir")
    found = output("-")
    assert isinstance(found, TarballOutput)
    assert not isinstance(found.dest, str)


def test_types() -> None:
    assert output("type=local,dest=d") == LocalOutput("d")
    assert output("type=tar,dest=t") == TarballOutput("t")
    assert output("type=cacheonly") == CacheOnly()
    assert output("type=image,name=a") == ImageOutput(names=("a",))
    assert output("type=docker") == ImageOutput()
    assert output("type=docker,dest=d") == ArchiveOutput(format="docker", dest="d")
    assert output("type=oci,dest=d,tar=false") == ArchiveOutput(dest="d", tar=False)
    stream = output("type=oci")
    assert isinstance(stream, ArchiveOutput)
    assert not isinstance(stream.dest, str)


def test_fields_may_be_quoted_and_keys_in_any_case() -> None:
    assert output('type=image,"name=a,b:1"') == ImageOutput(names=("a", "b:1"))
    assert output("Type=tar, DEST=x") == TarballOutput("x")


def test_form_of_images() -> None:
    text = "type=image,compression=zstd,compression-level=22,force-compression,oci-mediatypes=0"
    message, _ = refusal("-o", text)
    assert message.endswith("'force-compression' is not KEY=VALUE")
    assert output(text.replace("force-compression", "force-compression=")) == ImageOutput(
        compression=Compression("zstd", 22, True), oci_media_types=False
    )
    assert output("type=image,rewrite-timestamp=false,source-date-epoch=7") == ImageOutput(
        rewrite_timestamp=False, epoch=Epoch(7)
    )
    assert output("type=image,source-date-epoch=") == ImageOutput(epoch=Epoch(None))
    assert output("type=image,unpack=,store=f,name-canonical=T,dangling-name-prefix=p") == (
        ImageOutput(unpack=True, store=False, name_canonical=True, dangling_name_prefix="p")
    )


def test_annotations_of_an_output() -> None:
    text = (
        "type=oci,dest=d,annotation.a.b=1,annotation-manifest-descriptor.c=2,"
        "annotation[linux/amd64].d=3,annotation-manifest[linux/amd64].e.f=4"
    )
    assert output(text) == ArchiveOutput(
        dest="d",
        annotations=(
            Annotation("a.b", "1"),
            Annotation("c", "2", "manifest-descriptor"),
            Annotation("d", "3", "manifest", AMD64),
            Annotation("e.f", "4", "manifest", AMD64),
        ),
    )


def test_annotation_that_is_no_text_becomes_one() -> None:
    expected = (Annotation("a\ufffd", "b\ufffd"),)
    assert output("type=image,annotation.a\udcff=b\udcff") == ImageOutput(annotations=expected)
    assert outputs("--annotation", "a\udcff=b\udcff") == (ImageOutput(annotations=expected),)


def test_annotation_flag_goes_to_every_image() -> None:
    assert outputs("--annotation", "a=b=c") == (ImageOutput(annotations=(Annotation("a", "b=c"),)),)
    found = outputs("--annotation", "a=b", "-o", "d", "-o", "type=oci,dest=x")
    assert found == (
        LocalOutput("d"),
        ArchiveOutput(dest="x", annotations=(Annotation("a", "b"),)),
    )
    assert annotations_of("manifest,manifest-descriptor[linux/amd64]:k:l=v") == [
        Annotation("k:l", "v"),
        Annotation("k:l", "v", "manifest-descriptor", AMD64),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "invalid annotation 'a': it is not KEY=VALUE"),
        ("manifests:a=b", "invalid annotation type 'manifests' (did you mean manifest?)"),
        ("manifest[linux:a=b", "invalid annotation type 'manifest[linux'"),
        ("manifest[a/b/c/d/e]:a=b", "invalid annotation type 'manifest[a/b/c/d/e]'"),
    ],
)
def test_annotations_that_are_none_are_refused(text: str, message: str) -> None:
    assert refusal("--annotation", text)[0].startswith(message)


def test_load_adds_an_image_to_other_outputs() -> None:
    assert outputs("--load") == ()
    assert outputs("--load", "-o", "d") == (LocalOutput("d"), ImageOutput())
    assert outputs("--load", "-o", "type=image") == (ImageOutput(),)


@pytest.mark.parametrize(
    "words",
    [
        ("--push",),
        ("-o", "type=registry"),
        ("-o", "type=image,push=1"),
        ("--push", "-o", "type=image"),
    ],
)
def test_pushing_is_said_in_several_ways(words: tuple[str, ...]) -> None:
    assert outputs(*words) == (ImageOutput(push=True),)


def test_push_adds_an_image_to_other_outputs() -> None:
    assert outputs("--push", "-o", "d") == (LocalOutput("d"), ImageOutput(push=True))
    by_digest = ImageOutput(push=True, push_by_digest=True)
    assert outputs("-o", "type=image,push=true,push-by-digest=true") == (by_digest,)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("type=imge", "unknown type 'imge' (did you mean image?)"),
        ("dest=x,name=y", "it has no type"),
        ("type=tar,x", "'x' is not KEY=VALUE"),
        ("type=oci,compresion=gzip", "type oci has no attribute 'compresion' (did you mean comp"),
        ("type=local,dest=d,name=x", "type local has no attribute 'name'"),
        ("type=image,dest=x", "type image has no dest"),
        ("type=image,compression=gzp", "unsupported compression 'gzp' (did you mean gzip?)"),
        ("type=image,compression-level=10", "invalid compression-level '10'"),
        ("type=image,compression=zstd,compression-level=23", "invalid compression-level '23'"),
        ("type=image,compression-level=x", "invalid compression-level 'x'"),
        ("type=image,oci-mediatypes=maybe", "oci-mediatypes is true or false, not 'maybe'"),
        ("type=image,source-date-epoch=now", "invalid source-date-epoch 'now'"),
        ("type=local,dest=d,source-date-epoch=999999999999", "invalid source-date-epoch '9999"),
        (f"type=tar,dest=d,source-date-epoch={'1' * 5000}", "invalid source-date-epoch '1111"),
        (f"type=image,compression-level={'1' * 5000}", "invalid compression-level '1111"),
        ("type=image,name=UPPER", "parse reference"),
        ("type=image,annotation=x", "invalid annotation 'annotation'"),
        ("type=local", "type local needs dest=DIRECTORY"),
        ("type=local,dest=-", "type local needs dest=DIRECTORY"),
        ("type=oci,tar=false", "tar=false needs dest=DIRECTORY"),
        ("type=docker,tar=0", "tar=false needs dest=DIRECTORY"),
        ("type=local,dest=d,mode=sync", "invalid mode 'sync'"),
    ],
)  # fmt: skip
def test_outputs_that_make_no_sense_are_refused(text: str, cause: str) -> None:
    message, _ = refusal("-o", text)
    assert message.startswith(f"invalid output {text!r}: {cause}")


def test_quotes_that_do_not_match_are_refused() -> None:
    assert refusal("-o", 'type=tar,"dest=x')[0].endswith("its quotes do not match")


@pytest.mark.parametrize("text", ["-", "type=oci", "type=docker,dest=-", "type=tar"])
def test_bytes_are_not_written_to_a_terminal(text: str) -> None:
    message, hint = refusal("-o", text, terminal=True)
    assert message.endswith("refusing to write it to a terminal")
    assert "dest=FILE" in hint


def test_attestations_can_only_be_turned_off() -> None:
    off = ("--provenance=false", "--sbom=0", "--attest=type=sbom,disabled=true")
    assert outputs(*off) == ()
    for given in ("--provenance=mode=max", "--sbom=true", "--attest=type=sbom"):
        assert refusal(given)[0] == f"{given}: build makes no attestations"


def test_iidfile_is_refused_for_what_has_no_id() -> None:
    assert refusal("--iidfile", "f", "-o", "d")[0].startswith("--iidfile cannot be used")


def test_deleting_outside_of_the_current_directory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "out").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path / "here")
    assert output("type=local,dest=below,mode=delete") == LocalOutput("below", delete=True)
    for path in (".", "..", str(tmp_path), "out"):
        _, hint = refusal("-o", f"type=local,dest={path},mode=delete")
        assert "--allow=buildx.local.delete" in hint
    allowed = outputs("--allow=buildx.local.delete", "-o", "type=local,dest=..,mode=delete")
    assert allowed == (LocalOutput("..", delete=True),)


def check(*found: Output) -> str:
    with pytest.raises(BuildError) as caught:
        check_outputs(found)
    return caught.value.message


def test_destinations_are_looked_at_before_anything_is_built(tmp_path: Path) -> None:
    file, directory = tmp_path / "file", tmp_path / "directory"
    file.touch()
    directory.mkdir()
    check_outputs((TarballOutput(str(file)), LocalOutput(str(directory)), LocalOutput("new")))
    check_outputs((ArchiveOutput(dest=str(directory), tar=False),))
    assert "is a file" in check(LocalOutput(str(file)))
    assert "is a file" in check(ArchiveOutput(dest=str(file), tar=False))
    assert "is a directory" in check(TarballOutput(str(directory)))
    assert "is not there" in check(ArchiveOutput(dest=str(tmp_path / "no" / "file")))
    stream = io.BytesIO()
    assert "standard output" in check(TarballOutput(stream), ArchiveOutput(dest=stream))


def test_index_of_one_image_cannot_be_annotated() -> None:
    for place in ("index", "index-descriptor"):
        assert "has no index" in check(ImageOutput(annotations=(Annotation("a", "b", place),)))
