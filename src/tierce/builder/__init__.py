"""Builds an image: the one place where the parts of a build are put together."""

from tierce.builder.build import build
from tierce.builder.request import BuildRequest, BuildResult

__all__ = ["BuildRequest", "BuildResult", "build"]
