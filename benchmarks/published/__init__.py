"""Published numbers, reproduced: recipes, a trainer, and a judge that sees only a checkpoint."""
