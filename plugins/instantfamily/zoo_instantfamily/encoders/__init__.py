"""Face encoders."""
