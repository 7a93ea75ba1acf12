"""The command line, called in this process."""

from collections.abc import Callable

Cli = Callable[..., str]
"""Runs a command on a store of the test's own, given the words; `status` is what it must end with.
Returns what it wrote to standard output and, after it, to standard error.
"""
