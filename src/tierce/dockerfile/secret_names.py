"""Which variables are taken for secrets, by their names: the rule SecretsUsedInArgOrEnv.

Of BuildKit (frontend/dockerfile/dockerfile2llb/validations.go). What is looked for in the results
of a build are the values of the same build arguments that the rule warns of.
"""

from __future__ import annotations

_SECRET = frozenset(
    "apikey auth credential credentials key password pword passwd secret token".split()
)
_NO_SECRET = frozenset(["public", "file", "version"])


def is_secret_name(name: str) -> bool:
    """Whether one of the words of a variable's name is a secret's, and none says otherwise.

    `DB_PASSWORD` and `token` are names of secrets, `PUBLIC_KEY`, `KEY_FILE` and `MONKEY` are not.
    """
    words = frozenset(name.lower().split("_"))
    return not words.isdisjoint(_SECRET) and words.isdisjoint(_NO_SECRET)
