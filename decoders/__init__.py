"""What is trained: features -> predictions. Knows the encoder interface, no concrete encoder."""
