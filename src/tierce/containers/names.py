"""Names of containers: those that may be given, and one for who was given none."""

from __future__ import annotations

import os

from tierce.errors import InvalidValue

_MANNERS = """
agile amber ardent balanced blithe bold brave bright brisk calm candid careful cheerful clear
clever cordial cosy curious daring deft diligent eager earnest easy elated fair faithful fearless
festive fond frank gallant gentle genial glad graceful grand happy hardy hearty honest hopeful
humble jolly jovial keen kind lively loyal lucid lucky mellow merry mighty mild modest neat nimble
noble patient placid plucky polite proud quick quiet ready robust serene sharp sincere sleek smart
snug sober solid sprightly spry steady stoic sturdy sunny swift tender thrifty tidy trusty upbeat
vivid warm wise witty zealous zesty
""".split()

_PEOPLE = """
abel agnesi archimedes avogadro babbage banach bernoulli bohr boole bose brahe brahmagupta carson
cauchy celsius chatelet copernicus cori curie dalton darwin dedekind descartes dijkstra dirac
easley einstein erdos euclid euler faraday fermat fermi fibonacci franklin galileo galois gauss
germain goeppert goldbach goodall hamilton heisenberg herschel hertz hilbert hodgkin hopper
huygens hypatia jacobi jemison johnson joule kalam kelvin kepler kolmogorov kovalevskaya lagrange
lamarr laplace lavoisier leavitt leibniz liskov lorentz lovelace maxwell mayer mcclintock meitner
mendel mendeleev mirzakhani napier nash neumann newton nobel noether ohm pascal pasteur pauli
perlman planck poincare poisson ptolemy raman ramanujan riemann ritchie rutherford sagan shannon
somerville stevin stokes tesla thales torvalds turing volta wiles wilkes wozniak wu yalow yonath
zhang
""".split()


def random_name() -> str:
    """Two words as in "brisk_lovelace"; not necessarily a free name."""
    return f"{_one_of(_MANNERS)}_{_one_of(_PEOPLE)}"


def check_name(name: str) -> None:
    """Refuses what docker does not take as a name. Raises InvalidValue."""
    allowed = name.replace("_", "").replace(".", "").replace("-", "")
    if len(name) < 2 or name[0] in "_.-" or not (allowed.isascii() and allowed.isalnum()):
        raise InvalidValue(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
            value=name,
        )


def _one_of(words: list[str]) -> str:
    # `random` takes 5 ms to import.
    return words[int.from_bytes(os.urandom(4)) % len(words)]
