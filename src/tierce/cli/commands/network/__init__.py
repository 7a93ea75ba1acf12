"""`tierce network …`."""
