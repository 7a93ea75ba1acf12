"""From a parsed Dockerfile to the graph that builds it."""
