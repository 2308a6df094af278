"""The frozen part: each image through the encoder once, the result kept."""
