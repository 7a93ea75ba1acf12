"""tierce: from a Dockerfile to a running, shared container image, without a daemon."""

__version__ = "0.1.0"
