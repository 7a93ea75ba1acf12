"""The Dockerfile language: what is written in a file, not yet what it builds."""
