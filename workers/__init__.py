"""Workers: what happens because time passes, and what a crash left undone."""
