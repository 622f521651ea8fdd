"""Consenting by a standing rule: the computation is compared with it, counted, and then gets an ordinary upload."""

import datetime

from cloister.attestation.result.verdict import Verdict
from cloister.client.computation.upload import UploadReport, Uploads, upload_assets
from cloister.client.connection.connection import Connection
from cloister.client.rules.rule import StandingRule
from cloister.client.rules.uses import count_use
from cloister.protocol.manifest import Manifest


def consent_by_rule(
    connection: Connection,
    manifest: Manifest,
    rule: StandingRule,
    *,
    report: UploadReport | None = None,
    today: datetime.date | None = None,
) -> Uploads:
    """Upload the provider's datasets with its consent, if its rule permits the computation.

    The agent gets an ordinary consent: it never sees the rule. A use is counted once for each manifest and start of a
    machine, when the files and the machine have been checked, and before anything is sent.

    Args:
        connection: of the provider, under the policy that the rule names; it must demand this manifest.
        manifest: the manifest that all parties agreed on.
        rule: the provider's rule.
        report: called on the way; None for no reports.
        today: the present day in UTC; None for the clock's.

    Returns:
        The uploaded datasets.

    Raises:
        InputError: the rule does not permit the computation, has ended or is used up, or a file is not what the
            manifest says. Nothing was sent then.
        ProofError: the policy rejects the machine, it runs another manifest, or belongs to another workspace.
        RefusedError: the agent refuses the upload.
        UnreachableError: no agent answers, or the machine stays away.
    """
    day = today or datetime.datetime.now(datetime.UTC).date()
    own = rule.require(manifest, connection.key.public, connection.target.policy, day)

    def permit(verdict: Verdict) -> None:
        count_use(rule, manifest.digest(), verdict.claims.event_log_key)

    files = [(asset, rule.dataset_path(asset)) for asset in own]
    return upload_assets(connection, manifest, files, report=report, permit=permit)
