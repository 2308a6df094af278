"""What the commands beside `run` and `report` do."""
