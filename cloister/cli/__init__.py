"""A party's verbs. The same tasks serve the command ``cloister`` and, in a checkout, ``invoke``."""

from invoke.collection import Collection

from cloister.cli import assets, attest, examine, keys, manifest, policy, proof, result, run, upload, watch
from cloister.cli.shell import guide

VERBS = (
    keys.keys,
    policy.policy,
    assets.bundle,
    assets.checksum,
    manifest.manifest,
    manifest.review,
    attest.attest,
    examine.verify_evidence,
    run.run,
    upload.upload_algorithm,
    upload.upload_data,
    watch.status,
    watch.events,
    watch.logs,
    result.result,
    proof.audit,
    proof.verify_result,
    run.stop,
    run.reset,
)


def collection() -> Collection:
    """All verbs of a party; the bare command prints the guide."""
    made = Collection()
    made.add_task(guide.guide, default=True)
    for verb in VERBS:
        made.add_task(verb)
    return made
