"""Reports: figures that never change, and the questions that they answer."""
