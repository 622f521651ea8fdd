"""What a party does: keys, policy, attested session, upload, result, proof, report."""
