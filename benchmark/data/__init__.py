"""A dataset's files -> arrays, splits and what an encoder is fed."""
