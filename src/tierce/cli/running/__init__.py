"""What flags about running containers mean."""
