"""`tierce context`: where containers and images are, in the place of docker's daemons."""
