"""Commands on the build cache."""
