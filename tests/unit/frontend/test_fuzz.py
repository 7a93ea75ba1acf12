"""Dockerfiles that nobody wrote are checked and lowered, or refused with a line.

The same many thousand times over: tools/fuzz-dockerfiles.
"""

from hypothesis import given, settings

from support.fuzzing import GENERATED, GIVEN_ARGUMENTS, MUTATED, answer_or_refuse


@settings(max_examples=300, derandomize=True, deadline=None)
@given(GENERATED, GIVEN_ARGUMENTS)
def test_generated_file_is_answered_or_refused_with_a_line(
    text: str, arguments: dict[str, str]
) -> None:
    answer_or_refuse(text, arguments)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(MUTATED, GIVEN_ARGUMENTS)
def test_real_file_with_changes_is_answered_or_refused_with_a_line(
    text: str, arguments: dict[str, str]
) -> None:
    answer_or_refuse(text, arguments)
