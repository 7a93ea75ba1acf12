"""The command line: a thin, lazy face on `tierce.client` with the grammar of `docker`."""
