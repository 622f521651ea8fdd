"""The verbs of the collection ``image``, by what they are about; ``image/tasks.py`` collects them."""
