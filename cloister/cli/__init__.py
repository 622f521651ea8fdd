"""A party's verbs, one file each. The same tasks serve the command ``cloister`` and, in a checkout, ``invoke``.

The folder has more than fifteen files because there are almost thirty verbs; what they share is in ``shell``.
"""

from invoke.collection import Collection

from cloister.cli import (
    approve,
    attest,
    audit,
    bundle,
    checksum,
    collateral,
    consent,
    doctor,
    events,
    export,
    history,
    import_,
    join,
    keys,
    lock,
    logs,
    manifest,
    metrics,
    page,
    policy,
    reject,
    report,
    reset,
    result,
    review,
    rule,
    run,
    start,
    status,
    stop,
    try_,
    upload_algorithm,
    upload_data,
    usage,
    verify_evidence,
    verify_result,
    watch,
    withdraw,
)
from cloister.cli.shell import guide

VERBS = (
    keys.keys,
    join.join,
    doctor.doctor,
    policy.policy,
    lock.lock,
    bundle.bundle,
    checksum.checksum,
    manifest.manifest,
    try_.try_,
    review.review,
    attest.attest,
    verify_evidence.verify_evidence,
    collateral.collateral,
    run.run,
    start.start,
    upload_algorithm.upload_algorithm,
    upload_data.upload_data,
    rule.rule,
    consent.consent,
    status.status,
    events.events,
    page.page,
    watch.watch,
    history.history,
    logs.logs,
    metrics.metrics,
    approve.approve,
    reject.reject,
    result.result,
    audit.audit,
    verify_result.verify_result,
    report.report,
    usage.usage,
    export.export,
    import_.import_,
    withdraw.withdraw,
    stop.stop,
    reset.reset,
)


def collection() -> Collection:
    """All verbs of a party; without a verb the command prints the guide."""
    made = Collection()
    made.add_task(guide.guide, default=True)
    for verb in VERBS:
        made.add_task(verb)
    return made
