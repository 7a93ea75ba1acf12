import pytest

from tierce.dockerfile.secret_names import is_secret_name


@pytest.mark.parametrize(
    "name", ["API_KEY", "apikey", "DATABASE_PASSWORD", "GITHUB_TOKEN", "secret_MESSAGE", "AUTH"]
)
def test_a_word_of_a_secret_makes_the_name_one(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["", "MONKEY", "AUTHOR", "TOKENS", "PUBLIC_KEY", "KEY_FILE", "token_version", "PATH"]
)
def test_other_words_and_exceptions_do_not(name: str) -> None:
    assert not is_secret_name(name)
