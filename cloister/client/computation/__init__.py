"""A computation on the party's side: manifest, assets, submission, events, status."""
