"""The measurement: from GEO-Bench files to records."""
