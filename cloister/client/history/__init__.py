"""What a party has accepted: images, policies, manifests and keys, per workspace, in logs that are only appended to."""
