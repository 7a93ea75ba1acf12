"""The generic solver: runs the vertices of a graph once each, in parallel, or finds them cached."""
