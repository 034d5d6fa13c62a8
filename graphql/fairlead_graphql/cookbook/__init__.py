"""The cookbook: recipes in ``docs/cookbook``, each run against a small client of its own and printed with its answer."""
