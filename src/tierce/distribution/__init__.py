"""Registries: reaching them, logging in to them, moving images to and from them.

Nothing is imported here: a command loads the modules that it needs.
"""
