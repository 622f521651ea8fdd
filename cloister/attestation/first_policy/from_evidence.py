"""A first policy from a machine's own evidence: it pins what the machine shows now.

Such a policy recognises a machine; it does not show that the machine is trustworthy. Every value is therefore listed
with who can confirm it, and the evidence must be genuine: it must pass the policy that was made from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from cloister.attestation.azure import hcl
from cloister.attestation.azure.hcl import HclReport
from cloister.attestation.azure.policy import AzurePolicy, AzureSnpPolicy, AzureTdxPolicy
from cloister.attestation.collateral.usable import UsableCollateral
from cloister.attestation.collateral_source import Collateral
from cloister.attestation.errors import PolicyError
from cloister.attestation.evidence import Evidence, Platform
from cloister.attestation.first_policy.from_manifest import TEAM, YOURSELF, AdoptedValue
from cloister.attestation.gcp.certificates import InstanceInfo
from cloister.attestation.gcp.endorsement import LaunchEndorsement
from cloister.attestation.gcp.policy import GcpPolicy
from cloister.attestation.instances import GcpInstance, Instances
from cloister.attestation.policy.images import IMAGE_PCRS, ImageReference
from cloister.attestation.policy.policy import ConfigurationPolicy, Policy
from cloister.attestation.result import Check, Verdict
from cloister.attestation.roots import VENDORS, Anchor
from cloister.attestation.snp.certificates import EndorsementCertificate
from cloister.attestation.snp.collateral import AmdCollateral
from cloister.attestation.snp.policy import TCB_KINDS, SnpPolicy
from cloister.attestation.snp.products import ProductLine
from cloister.attestation.snp.report import PlatformBit, PolicyBit, SigningKey, SnpReport
from cloister.attestation.snp.verify import find_leaf
from cloister.attestation.tdx.policy import TdxPolicy, TdxReference
from cloister.attestation.tdx.quote import TdxQuote
from cloister.attestation.verifier import RecordingPurpose, verify
from cloister.attestation.x509.certificate import Certificate, issuers_among
from cloister.errors import ProofError
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.imagemanifest import ImageManifest

_AMD = "AMD's security bulletins: which versions of these components are good enough"
_MICROSOFT = "Microsoft: another paravisor could forge every register"
_GOOGLE = "Google's published root certificate and release notes"
_ALLOWED = "yourself: do you accept that? If not, use a machine with other settings"
_WIDENED = (
    (
        "allow_smt",
        PolicyBit.SMT,
        PlatformBit.SMT_EN,
        "comes from a host where two threads may share a core (SMT on)",
    ),
    ("allow_cxl", PolicyBit.CXL_ALLOW, None, "comes from a machine that may have memory behind CXL"),
    ("allow_tio", None, PlatformBit.TIO_EN, "comes from a host where devices may take part (trusted I/O on)"),
)
"""Members of the section ``snp`` that are false by default, the bits of POLICY and PLATFORM_INFO that they accept, and
what these bits mean."""

_STRICT: Mapping[str, str] = MappingProxyType(
    {
        "snp-crl": "snp.require_crl, true by default",
        "tdx-tcb-status": "tdx.tcb_statuses, UpToDate alone by default, and tdx.up_to_date_as_of, no day by default",
        "tdx-advisories": "tdx.advisories, none by default",
        "tdx-attributes": "tdx.attributes_required and tdx.attributes_allowed",
        "tdx-xfam": "tdx.xfam_allowed",
        "tdx-mr-signer-seam": "tdx.mr_signer_seam, zeros by default",
        "tdx-mr-owner": "tdx.mr_owner, zeros by default",
        "tdx-mr-owner-config": "tdx.mr_owner_config, zeros by default",
        "tdx-service-td": "tdx.service_tds, none by default",
        "pcr-2": "platform_pcrs, which pins no drivers by default",
    }
)
"""Checks that a strict default decides, with the member of the policy. Evidence does not relax them."""

_WITH_SNP_SECTION = (Platform.SEV_SNP, Platform.AZURE_SNP, Platform.GCP_SNP)


class PolicyBuilder:
    """Builds one policy and lists the values that it adopts. Raises MalformedEvidence for malformed parts."""

    def __init__(self, evidence: Evidence, image: ImageManifest, collateral: UsableCollateral) -> None:
        self._evidence = evidence
        self._collateral = collateral
        self.adopted: list[AdoptedValue] = []
        configuration = BootConfiguration.parse(evidence.boot_configuration)
        reference = self._image(image)
        self._adopt("boot_configuration.workspace", configuration.workspace, "", TEAM)
        self._adopt("boot_configuration.cvms", configuration.cvm, "", TEAM)
        for owner in configuration.owners:
            self._adopt("boot_configuration.owners", "an owner", owner, "that owner, over a channel of your own")
        report, quote = self._snp_report(), TdxQuote.parse(evidence.tdx_quote) if evidence.tdx_quote else None
        platform = evidence.platform
        self.policy = Policy(
            platforms=(platform,),
            images=(reference,),
            boot_configuration=ConfigurationPolicy(configuration.workspace, (configuration.cvm,), configuration.owners),
            snp=self._snp(report) if report is not None and platform in _WITH_SNP_SECTION else None,
            tdx=TdxPolicy() if quote is not None else None,
            azure=self._azure(report, quote),
            gcp=self._gcp(),
            instances=self._instances(),
        )

    def _adopt(self, member: str, value: str, fingerprint: str, confirm_with: str) -> None:
        self.adopted.append(AdoptedValue(member, value, fingerprint, confirm_with))

    def _allow(self, member: str, meaning: str) -> None:
        """Lists a member that is false by default and that this evidence needs."""
        self._adopt(member, f"true. It is false by default, which rejects this evidence: it {meaning}", "", _ALLOWED)

    def _image(self, manifest: ImageManifest) -> ImageReference:
        """The manifest's values, with what only hardware measures from the evidence."""
        evidence = self._evidence
        self._adopt("images", f"{manifest.flavor}, from its manifest", manifest.digest().hex(), YOURSELF)
        launch: tuple[bytes, ...] = ()
        tdx = None
        if evidence.platform is Platform.SEV_SNP and evidence.snp_report is not None:
            launch = (SnpReport.parse(evidence.snp_report).measurement,)
            self._adopt("images.snp.launch_digests", "what the machine was launched as", launch[0].hex(), YOURSELF)
        if evidence.platform in (Platform.TDX, Platform.GCP_TDX) and evidence.tdx_quote is not None:
            report = TdxQuote.parse(evidence.tdx_quote).report
            tdx = TdxReference((report.mr_td,), {1: report.rtmr1, 2: report.rtmr2})
            self._adopt("images.tdx.mrtds", "the firmware of the machine", report.mr_td.hex(), "who built the firmware")
            for index in (1, 2):
                value = report.rtmrs[index].hex()
                self._adopt(f"images.tdx.rtmrs.{index}", "what the machine booted", value, YOURSELF)
        return ImageReference(
            manifest.flavor,
            manifest.debug,
            manifest.digest(),
            {index: bytes.fromhex(manifest.pcrs[index]) for index in IMAGE_PCRS},
            launch,
            tdx,
        )

    def _snp_report(self) -> SnpReport | None:
        if self._evidence.snp_report is not None:
            return SnpReport.parse(self._evidence.snp_report)
        if self._evidence.hcl_report is not None:
            parsed = HclReport.parse(self._evidence.hcl_report)
            if parsed.report_type == hcl.TYPE_SNP:
                return SnpReport.parse(parsed.hardware_report)
        return None

    def _snp(self, report: SnpReport) -> SnpPolicy:
        line = report.product_line or self._leaf(report).amd.product_line
        if line is None:
            raise PolicyError(
                "Neither the report nor the certificate of its key names a known processor.",
                hint=f"Supported are {', '.join(ProductLine)}. Update Cloister, or use another machine.",
            )
        versions = report.tcb_versions(line)
        for kind in TCB_KINDS:
            self._adopt(f"snp.minimum_tcb.{line}.{kind}", str(versions[kind]), "", _AMD)
        section = SnpPolicy({line: {kind: versions[kind] for kind in TCB_KINDS}}, minimum_guest_svn=report.guest_svn)
        for member, allowed, present, meaning in _WIDENED:
            if allowed in report.policy_bits() or present in report.platform_bits():
                self._allow(f"snp.{member}", meaning)
                section = replace(section, **{member: True})
        if report.signing_key is SigningKey.VLEK:
            self._allow("snp.allow_vlek", "is signed with the cloud's key (VLEK), which names no chip")
            cloud = self._leaf(report).amd.csp_id or ""  # the certificate of a VLEK has one
            self._adopt("snp.vlek_clouds", cloud, "", "that cloud: its name in AMD's certificate of the key")
            section = replace(section, allow_vlek=True, vlek_clouds=(cloud,))
        return section

    def _leaf(self, report: SnpReport) -> EndorsementCertificate:
        """The certificate of the key that signed the report, as the verifier chooses it."""
        leaf = find_leaf(report, AmdCollateral.gather(self._evidence.snp_certificates, self._collateral).leaves)
        if leaf is None:
            raise PolicyError(
                "The evidence has no certificate of the key that signed the report.", hint="Add it with --collateral."
            )
        return leaf

    def _azure(self, report: SnpReport | None, quote: TdxQuote | None) -> AzurePolicy | None:
        if self._evidence.platform is Platform.AZURE_SNP and report is not None:
            key = report.id_key_digest
            self._adopt("azure.snp.id_key_digests", "the key that signed the paravisor", key.hex(), _MICROSOFT)
            self._adopt("azure.snp.min_guest_svn", str(report.guest_svn), "", _MICROSOFT)
            return AzurePolicy(snp=AzureSnpPolicy((key,), report.guest_svn))
        if self._evidence.platform is Platform.AZURE_TDX and quote is not None:
            module, paravisor = quote.report.mr_seam, quote.report.mr_td
            self._adopt("azure.tdx.mrtds", "the paravisor", paravisor.hex(), _MICROSOFT)
            self._adopt("azure.tdx.mrseams", "the TDX module", module.hex(), "Intel's list of TDX modules")
            return AzurePolicy(tdx=AzureTdxPolicy((paravisor,), (module,)))
        return None

    def _gcp(self) -> GcpPolicy | None:
        platform = self._evidence.platform
        if platform not in (Platform.GCP_SNP, Platform.GCP_TDX):
            return None
        carried = self._evidence.launch_endorsement
        brought = () if carried is not None else self._collateral.launch_endorsements()
        endorsement = LaunchEndorsement.parse(carried) if carried is not None else next(iter(brought), None)
        if endorsement is None:
            raise PolicyError("The evidence has no endorsement of Google's firmware.", hint="Add it with --collateral.")
        issuers = issuers_among(endorsement.certificate, self._collateral.certificates(), endorsement.issuers)
        pool = (*endorsement.issuers, *issuers)
        root = next((one for one in pool if one.subject == one.issuer == endorsement.certificate.issuer), None)
        if root is None:
            raise PolicyError(
                "The root that signed the endorsement of Google's firmware is missing.",
                hint="Add it with --collateral.",
            )
        pin = root.fingerprint()
        self._adopt("gcp.endorsement_root_spki_sha256", "the root that vouches for the firmware", pin.hex(), _GOOGLE)
        launched = endorsement.snp if platform is Platform.GCP_SNP else endorsement.tdx
        svn = launched.svn if launched is not None else 0
        name = "snp_min_svn" if platform is Platform.GCP_SNP else "tdx_min_svn"
        self._adopt(f"gcp.{name}", str(svn), "", _GOOGLE)
        return GcpPolicy(pin, **{name: svn})

    def _instances(self) -> Instances | None:
        if self._evidence.platform is not Platform.GCP_SNP or not self._evidence.ak_certificates:
            return None
        info = InstanceInfo.of(Certificate.parse(self._evidence.ak_certificates[0]))
        if info is None:
            raise PolicyError(
                "The certificate of the machine's attestation key names no machine at Google.",
                hint="Save the machine's evidence again with `attest --save`, and pass that file.",
            )
        self._adopt("instances.gcp", str(info), "", "the platform team, over a channel of your own")
        return Instances(gcp=(GcpInstance(info.project, info.zone),))


def policy_from_evidence(
    evidence: Evidence,
    image: ImageManifest,
    *,
    at: datetime,
    collateral: Collateral,
    roots: tuple[Anchor, ...] = VENDORS,
) -> tuple[Policy, tuple[AdoptedValue, ...], Verdict]:
    """The policy, the values that it adopts in its order, and the verdict on the evidence under it as of ``at``.

    ``image`` is the manifest of the image that the machine should run. Raises ProofError if the evidence does not pass,
    PolicyError if it makes no policy, MalformedEvidence if it cannot be parsed.
    """
    if evidence.platform is Platform.LOCAL:
        raise PolicyError(
            "Evidence of a local machine does not say which authority vouches for it.",
            hint="Make the policy from the workspace descriptor: --workspace FILE --allow-local",
        )
    if image.debug:
        raise PolicyError(
            f"The image {image.flavor} is a debug image: the host can read its memory.",
            hint="Pass the manifest of an image that is not a debug image.",
        )

    made = PolicyBuilder(evidence, image, UsableCollateral(evidence.collateral, collateral))
    verdict = verify(evidence, made.policy, purpose=RecordingPurpose(), at=at, collateral=collateral, roots=roots)
    if not verdict.accepted:
        raise _rejection(verdict.failures)
    return made.policy, tuple(made.adopted), verdict


def _rejection(failures: Sequence[Check]) -> ProofError:
    """The error, with the member of the policy that decides each failure, if there is one."""
    sentences = []
    for check in failures:
        member = _STRICT.get(check.name)
        sentences.append(check.sentence() + (f" This is decided by the policy's {member}." if member else ""))
    listed = "\n" + "\n".join(sentences)
    if all(check.name in _STRICT for check in failures):
        return ProofError(
            f"The strict defaults of a policy reject this evidence, so no policy is made from it.{listed}",
            hint="Use a machine that passes, or write a policy that relaxes the members named above.",
        )
    return ProofError(
        f"The evidence is not genuine, or not of that image, so no policy is made from it.{listed}",
        hint="Pass missing certificates and lists with --collateral.",
    )
