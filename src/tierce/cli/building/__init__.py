"""What the flags of a build mean, and what a build prints beside its progress."""
