"""One module for each command, named by its path; `tierce.cli.table` loads it when it is run."""
