"""Runs the operations of a build: `BuildWorker` is what the solver drives."""
