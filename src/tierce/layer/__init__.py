"""Layers as tar streams: written, read, indexed, viewed merged, unpacked, and diffed."""
