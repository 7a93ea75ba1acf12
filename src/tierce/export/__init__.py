"""What a build gives: an image in the store."""
