"""What needs a model or images to be drawn, kept beside records."""
