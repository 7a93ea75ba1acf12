"""Running processes in containers: bundles for an OCI runtime, and what drives it."""
