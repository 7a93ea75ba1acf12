"""Images as files: docker's archives, OCI layouts, and file systems as plain tars."""
