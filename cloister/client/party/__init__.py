"""A party in Python: one object for what it has, one for the machine that it talks to. The verbs stand on both."""
