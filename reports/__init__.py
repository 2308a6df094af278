"""What people read. Knows records and statistics, nothing of how they were made."""
