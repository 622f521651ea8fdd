"""A trial: a run on the author's machine, in namespaces that ``cloister.client.trial`` has made. No protection."""
