"""The cookbook: recipes in ``docs/cookbook``, each run against a small client and printed with its answer."""
