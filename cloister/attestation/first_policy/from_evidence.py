"""A first policy from a machine's own evidence: it pins what the machine shows now.

Such a policy recognises a machine; it does not show that the machine is trustworthy. Every value is therefore listed
with who can confirm it, and the evidence must be genuine and of the image. What weakens a machine is not adopted
(``strict.py``): a machine that is weak fails the policy that was made from it.
"""

from datetime import datetime

from cloister.attestation.azure import hcl
from cloister.attestation.azure.hcl import HclReport
from cloister.attestation.azure.policy import AzurePolicy
from cloister.attestation.collateral.usable import UsableCollateral
from cloister.attestation.collateral_source import Collateral
from cloister.attestation.errors import PolicyError
from cloister.attestation.evidence import Evidence, Platform
from cloister.attestation.first_policy.from_manifest import TEAM, YOURSELF, AdoptedValue, image_pcrs
from cloister.attestation.first_policy.hardware import Adopted, azure_snp_section, azure_tdx_section, snp_section
from cloister.attestation.first_policy.strict import require_genuine, without_lists
from cloister.attestation.gcp.certificates import InstanceInfo
from cloister.attestation.gcp.endorsement import LaunchEndorsement
from cloister.attestation.gcp.policy import GcpPolicy
from cloister.attestation.instances import GcpInstance, Instances
from cloister.attestation.policy.images import IMAGE_PCRS, ImageReference
from cloister.attestation.policy.policy import SNP_PLATFORMS, ConfigurationPolicy, Policy
from cloister.attestation.result.verdict import Verdict
from cloister.attestation.snp.certificates import EndorsementCertificate
from cloister.attestation.snp.collateral import AmdCollateral
from cloister.attestation.snp.report import SnpReport
from cloister.attestation.tdx.policy import TdxPolicy, TdxReference
from cloister.attestation.tdx.quote import TdxQuote
from cloister.attestation.verifier import RecordingPurpose, verify
from cloister.attestation.x509.certificate import Certificate, issuers_among
from cloister.attestation.x509.roots import VENDORS, Anchor
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.imagemanifest import ImageManifest
from cloister.protocol.signedimage import SignedImage

_GOOGLE = "Google's published root certificate and release notes"
_REFUSED = "The evidence is not genuine, or not of that image"
_MISSING = "Pass missing certificates and lists with --collateral, or --fetch."


class PolicyBuilder:
    """Builds one policy and lists the values that it adopts. Raises MalformedEvidence for malformed parts."""

    def __init__(
        self, evidence: Evidence, image: ImageManifest, collateral: UsableCollateral, signed: SignedImage | None = None
    ) -> None:
        self._evidence = evidence
        self._collateral = collateral
        self._adopted = Adopted()
        configuration = BootConfiguration.parse(evidence.boot_configuration)
        reference = self._image(image, signed)
        self._adopted.add("boot_configuration.workspace", configuration.workspace, "", TEAM)
        self._adopted.add("boot_configuration.cvms", configuration.cvm, "", TEAM)
        for owner in configuration.owners:
            self._adopted.add("boot_configuration.owners", "an owner", owner, "that owner, over a channel of your own")
        report, quote = self._snp_report(), TdxQuote.parse(evidence.tdx_quote) if evidence.tdx_quote else None
        platform = evidence.platform
        self.policy = Policy(
            platforms=(platform,),
            images=(reference,),
            boot_configuration=ConfigurationPolicy(configuration.workspace, (configuration.cvm,), configuration.owners),
            snp=snp_section(self._adopted, report, self._leaves()) if report and platform in SNP_PLATFORMS else None,
            tdx=TdxPolicy() if quote is not None else None,
            azure=self._azure(report, quote),
            gcp=self._gcp(),
            instances=self._instances(),
        )

    @property
    def adopted(self) -> tuple[AdoptedValue, ...]:
        """The adopted values, in the order of the policy."""
        return tuple(self._adopted.values)

    def _image(self, manifest: ImageManifest, signed: SignedImage | None) -> ImageReference:
        """The manifest's values, with what only hardware measures from the evidence."""
        evidence = self._evidence
        self._adopted.add("images", f"{manifest.flavor}, from its manifest", manifest.digest().hex(), YOURSELF)
        launch: tuple[bytes, ...] = ()
        tdx = None
        if evidence.platform is Platform.SEV_SNP and evidence.snp_report is not None:
            launch = (SnpReport.parse(evidence.snp_report).measurement,)
            self._adopted.add(
                "images.snp.launch_digests", "what the machine was launched as", launch[0].hex(), YOURSELF
            )
        if evidence.platform in (Platform.TDX, Platform.GCP_TDX) and evidence.tdx_quote is not None:
            report = TdxQuote.parse(evidence.tdx_quote).report
            tdx = TdxReference((report.mr_td,), {1: report.rtmr1, 2: report.rtmr2})
            self._adopted.add(
                "images.tdx.mrtds", "the firmware of the machine", report.mr_td.hex(), "who built the firmware"
            )
            for index in (1, 2):
                value = report.rtmrs[index].hex()
                self._adopted.add(f"images.tdx.rtmrs.{index}", "what the machine booted", value, YOURSELF)
        return ImageReference(
            manifest.flavor,
            manifest.debug,
            manifest.digest(),
            {index: value for index, value in image_pcrs(manifest, signed).items() if index in IMAGE_PCRS},
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

    def _leaves(self) -> tuple[EndorsementCertificate, ...]:
        return AmdCollateral.gather(self._evidence.snp_certificates, self._collateral).leaves

    def _azure(self, report: SnpReport | None, quote: TdxQuote | None) -> AzurePolicy | None:
        if self._evidence.platform is Platform.AZURE_SNP and report is not None:
            return azure_snp_section(self._adopted, report)
        if self._evidence.platform is Platform.AZURE_TDX and quote is not None:
            return azure_tdx_section(self._adopted, quote.report)
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
        self._adopted.add(
            "gcp.endorsement_root_spki_sha256", "the root that vouches for the firmware", pin.hex(), _GOOGLE
        )
        launched = endorsement.snp if platform is Platform.GCP_SNP else endorsement.tdx
        svn = launched.svn if launched is not None else 0
        name = "snp_min_svn" if platform is Platform.GCP_SNP else "tdx_min_svn"
        self._adopted.add(f"gcp.{name}", str(svn), "", _GOOGLE)
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
        self._adopted.add("instances.gcp", str(info), "", "the platform team, over a channel of your own")
        return Instances(gcp=(GcpInstance(info.project, info.zone),))


def policy_from_evidence(
    evidence: Evidence,
    image: ImageManifest,
    *,
    at: datetime,
    collateral: Collateral,
    roots: tuple[Anchor, ...] = VENDORS,
    signed: SignedImage | None = None,
) -> tuple[Policy, tuple[AdoptedValue, ...], Verdict]:
    """The policy, the values that it adopts in its order, and the verdict on the evidence under it as of ``at``.

    ``image`` is the manifest of the image that the machine should run, ``signed`` the statement about it if it starts
    with Secure Boot. What weakens a machine (debug, migration, SMT, an outdated TCB) is never adopted: the policy is
    strict, and the verdict has the checks that fail. Raises ProofError if the evidence is not genuine or not of that
    image, PolicyError if it makes no policy, MalformedEvidence if it cannot be parsed.
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

    made = PolicyBuilder(evidence, image, UsableCollateral(evidence.collateral, collateral), signed)
    policy = made.policy

    def judge(under: Policy) -> Verdict:
        return verify(evidence, under, purpose=RecordingPurpose(), at=at, collateral=collateral, roots=roots)

    require_genuine(judge(without_lists(policy)).failures, _REFUSED, _MISSING)
    return policy, made.adopted, judge(policy)
