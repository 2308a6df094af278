"""How fast a run is, part by part, and beside what is possible: what `evaluate.py profile` measures."""
