"""What was asked: options and configs, checked."""
