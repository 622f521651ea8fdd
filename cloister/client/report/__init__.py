"""A proven result for people: what was computed on what by whom, and how to check it, as one page."""
