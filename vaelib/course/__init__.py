"""The kit around the lessons: exercises, explorers, plots, a small trained model, the doctor."""
