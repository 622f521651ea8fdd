"""Evidence, policies and verdicts on the party's side."""
