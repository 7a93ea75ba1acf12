"""Golden builds: cases as data, the base they build on, and images as comparable file trees.

Nothing here imports tierce: what the expectation is taken from must not share its mistakes.
"""
