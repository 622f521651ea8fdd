"""The vendors' sections of a first policy, from a report or quote, with a list of every adopted value.

Versions of firmware are adopted as the newest that the report shows of each component, so that no older one passes;
whether even that is new enough, AMD's bulletins say. Settings that weaken a machine are not adopted (``strict.py``).
"""

from collections.abc import Sequence
from dataclasses import replace

from cloister.attestation.azure.policy import AzurePolicy, AzureSnpPolicy, AzureTdxPolicy
from cloister.attestation.errors import PolicyError
from cloister.attestation.first_policy.from_manifest import AdoptedValue
from cloister.attestation.snp.certificates import EndorsementCertificate
from cloister.attestation.snp.policy import TCB_KINDS, SnpPolicy
from cloister.attestation.snp.products import ProductLine, TcbVersion
from cloister.attestation.snp.report import SigningKey, SnpReport
from cloister.attestation.snp.verify import find_leaf
from cloister.attestation.tdx.quote import TdReport
from cloister.errors import ProofError

_AMD = "AMD's security bulletins: which versions of these components are good enough"
_MICROSOFT = "Microsoft: another paravisor could forge every register"
_VLEK = "true. It is false by default: the report is signed with the cloud's key (VLEK), which names no chip"
_YOURSELF = "yourself: do you accept that? If not, use a machine with other settings"


class Adopted:
    """The values that a first policy adopts, in its order."""

    def __init__(self) -> None:
        self.values: list[AdoptedValue] = []

    def add(self, member: str, value: str, fingerprint: str, confirm_with: str) -> None:
        """Lists one value."""
        self.values.append(AdoptedValue(member, value, fingerprint, confirm_with))


def snp_section(adopted: Adopted, report: SnpReport, leaves: Sequence[EndorsementCertificate]) -> SnpPolicy:
    """The section ``snp``. Raises ProofError without a needed certificate, PolicyError for an unknown processor.

    ``leaves`` are VCEK and VLEK certificates, of any machine.
    """
    line = report.product_line or _leaf(report, leaves).amd.product_line
    if line is None:
        raise PolicyError(
            "Neither the report nor the certificate of its key names a known processor.",
            hint=f"Supported are {', '.join(ProductLine)}. Update Cloister, or use another machine.",
        )
    newest = _newest(list(report.tcb_versions(line).values()))
    adopted.add(f"snp.minimum_tcb.{line}", f"firmware at least {newest}", "", _AMD)
    section = SnpPolicy({line: dict.fromkeys(TCB_KINDS, newest)}, minimum_guest_svn=report.guest_svn)
    if report.guest_svn:
        adopted.add("snp.minimum_guest_svn", f"security version of the guest: {report.guest_svn}", "", "who built it")
    if report.signing_key is SigningKey.VLEK:
        adopted.add("snp.allow_vlek", _VLEK, "", _YOURSELF)
        cloud = _leaf(report, leaves).amd.csp_id or ""  # the certificate of a VLEK has one
        adopted.add("snp.vlek_clouds", cloud, "", "that cloud: its name in AMD's certificate of the key")
        section = replace(section, allow_vlek=True, vlek_clouds=(cloud,))
    return section


def azure_snp_section(adopted: Adopted, report: SnpReport) -> AzurePolicy:
    """The section ``azure`` for a report of a paravisor on SEV-SNP."""
    key = report.id_key_digest
    if not any(key):
        raise ProofError(
            "No key signed the paravisor in the evidence, so anyone with a processor can have made it.",
            hint="Do not use this machine.",
        )
    adopted.add("azure.snp.id_key_digests", "the key that signed the paravisor", key.hex(), _MICROSOFT)
    svn = report.guest_svn
    adopted.add("azure.snp.min_guest_svn", f"security version of the paravisor: {svn}", "", _MICROSOFT)
    return AzurePolicy(snp=AzureSnpPolicy((key,), svn))


def azure_tdx_section(adopted: Adopted, report: TdReport) -> AzurePolicy:
    """The section ``azure`` for a quote of a paravisor on TDX."""
    adopted.add("azure.tdx.mrtds", "the paravisor", report.mr_td.hex(), _MICROSOFT)
    adopted.add("azure.tdx.mrseams", "the TDX module", report.mr_seam.hex(), "Intel's list of TDX modules")
    return AzurePolicy(tdx=AzureTdxPolicy((report.mr_td,), (report.mr_seam,)))


def _leaf(report: SnpReport, leaves: Sequence[EndorsementCertificate]) -> EndorsementCertificate:
    """The certificate of the key that signed the report, as the verifier chooses it."""
    leaf = find_leaf(report, leaves)
    if leaf is None:
        raise ProofError(
            "The evidence has no certificate of the key that signed the report.",
            hint="Name its file, too, or pass --collateral DIR or --fetch.",
        )
    return leaf


def _newest(versions: Sequence[TcbVersion]) -> TcbVersion:
    """The newest level of each component: an older one of the launch, or that the host reports, is not adopted."""
    levels = [version.components() for version in versions]
    return TcbVersion(**{name: max(one[name] for one in levels) for name in levels[0]})
