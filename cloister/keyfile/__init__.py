"""Keys in the files that people have: the one reader, for parties and the platform team."""
