"""Pure values of the OCI image specification: digests, references, platforms, manifests, configs.

Nothing here does I/O. Import the modules, not this package: each costs only what it needs.
"""
