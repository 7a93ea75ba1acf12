"""`tierce manifest …`."""
