"""A party's part as a Python API: what the verbs stand on. ``docs/python.md`` is a notebook of all of it.

    from cloister import client

    lab = client.Party(key="lab.pem", policy="policy.json", workspace="workspace.json")
    with lab.connect("computation.json") as machine:
        machine.upload_data("h1.csv")
        for event in machine.events(follow=True):
            print(event)

:class:`Party` and :class:`Machine` have what a person needs; the functions below them are for programs that need one
step alone. All raise CloisterError, which has a sentence, a hint and an exit code. A name is imported when it is first
used, so that a program that only lists its verbs starts quickly.

Long because every public name stands here twice: for type checkers, and with the module that has it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloister.attestation.policy.policy import Policy as Policy
    from cloister.client.collateral.folder import load_collateral as load_collateral
    from cloister.client.collateral.keeping import KeptCollateral as KeptCollateral
    from cloister.client.collateral.keeping import list_collateral as list_collateral
    from cloister.client.collateral.network import VendorServices as VendorServices
    from cloister.client.collateral.sources import CollateralSources as CollateralSources
    from cloister.client.computation.algorithm_files import describe_algorithm as describe_algorithm
    from cloister.client.computation.asset import LocalAsset as LocalAsset
    from cloister.client.computation.asset import describe_asset as describe_asset
    from cloister.client.computation.decisions import ResultPreview as ResultPreview
    from cloister.client.computation.decisions import approve_result as approve_result
    from cloister.client.computation.decisions import preview_result as preview_result
    from cloister.client.computation.decisions import reject_result as reject_result
    from cloister.client.computation.decisions import withdraw_consent as withdraw_consent
    from cloister.client.computation.events import follow_events as follow_events
    from cloister.client.computation.events import save_events as save_events
    from cloister.client.computation.lifecycle import reset_machine as reset_machine
    from cloister.client.computation.lifecycle import start_run as start_run
    from cloister.client.computation.lifecycle import stop_computation as stop_computation
    from cloister.client.computation.logs import ProgramLog as ProgramLog
    from cloister.client.computation.logs import read_logs as read_logs
    from cloister.client.computation.manifest import WrittenManifest as WrittenManifest
    from cloister.client.computation.manifest import load_manifest as load_manifest
    from cloister.client.computation.manifest import write_manifest as write_manifest
    from cloister.client.computation.metrics import AgentMetrics as AgentMetrics
    from cloister.client.computation.metrics import Sample as Sample
    from cloister.client.computation.metrics import fetch_metrics as fetch_metrics
    from cloister.client.computation.review import ManifestReview as ManifestReview
    from cloister.client.computation.review import ReviewSection as ReviewSection
    from cloister.client.computation.review import review_manifest as review_manifest
    from cloister.client.computation.review import rollback as rollback
    from cloister.client.computation.status import ComputationStatus as ComputationStatus
    from cloister.client.computation.status import fetch_status as fetch_status
    from cloister.client.computation.submission import submit as submit
    from cloister.client.computation.timeline import Timeline as Timeline
    from cloister.client.computation.timeline import TimelineEntry as TimelineEntry
    from cloister.client.computation.timeline import key_names as key_names
    from cloister.client.computation.upload import Uploaded as Uploaded
    from cloister.client.computation.upload import UploadReport as UploadReport
    from cloister.client.computation.upload import Uploads as Uploads
    from cloister.client.computation.upload import upload_algorithm as upload_algorithm
    from cloister.client.computation.upload import upload_assets as upload_assets
    from cloister.client.computation.upload import upload_datasets as upload_datasets
    from cloister.client.connection.connection import Connection as Connection
    from cloister.client.connection.machine_verdict import MachineVerdict as MachineVerdict
    from cloister.client.connection.opening import Opening as Opening
    from cloister.client.connection.opening import Target as Target
    from cloister.client.connection.opening import attest as attest
    from cloister.client.connection.refusal import ConnectionLost as ConnectionLost
    from cloister.client.connection.refusal import Refusal as Refusal
    from cloister.client.connection.report import TransferReport as TransferReport
    from cloister.client.doctor.findings import Checkup as Checkup
    from cloister.client.evidence.collateral_folder import FilledFolder as FilledFolder
    from cloister.client.evidence.collateral_folder import fetch_collateral as fetch_collateral
    from cloister.client.evidence.collateral_folder import pack_collateral as pack_collateral
    from cloister.client.evidence.examination import Examination as Examination
    from cloister.client.evidence.examination import require_evidence as require_evidence
    from cloister.client.evidence.examination import verify_evidence as verify_evidence
    from cloister.client.evidence.explanation import Explanation as Explanation
    from cloister.client.evidence.first_policy import FirstPolicy as FirstPolicy
    from cloister.client.evidence.first_policy import open_members as open_members
    from cloister.client.evidence.first_policy import policy_from_evidence as policy_from_evidence
    from cloister.client.evidence.first_policy import start_policy as start_policy
    from cloister.client.evidence.first_policy import write_first_policy as write_first_policy
    from cloister.client.evidence.policy_file import load_any_policy as load_any_policy
    from cloister.client.evidence.policy_file import load_policy as load_policy
    from cloister.client.evidence.policy_file import save_policy as save_policy
    from cloister.client.evidence.statement_demands import StatementDemands as StatementDemands
    from cloister.client.evidence.typed_bytes import parse_nonce as parse_nonce
    from cloister.client.evidence.typed_bytes import parse_report_data as parse_report_data
    from cloister.client.evidence.verdict import verdict_lines as verdict_lines
    from cloister.client.evidence.verdict import verdict_summary as verdict_summary
    from cloister.client.exchange.importing import ImportedComputation as ImportedComputation
    from cloister.client.exchange.importing import MissingPart as MissingPart
    from cloister.client.exchange.importing import import_computation as import_computation
    from cloister.client.exchange.package import export_computation as export_computation
    from cloister.client.files.descriptor_file import find_cvm as find_cvm
    from cloister.client.files.descriptor_file import load_descriptor as load_descriptor
    from cloister.client.files.descriptor_file import member_names as member_names
    from cloister.client.files.image_file import load_image as load_image
    from cloister.client.files.keys import Key as Key
    from cloister.client.files.keys import KeyType as KeyType
    from cloister.client.files.keys import generate_key as generate_key
    from cloister.client.files.keys import load_key as load_key
    from cloister.client.files.keys import public_path as public_path
    from cloister.client.files.membership import Joining as Joining
    from cloister.client.files.membership import join as join
    from cloister.client.files.membership import load_invitation as load_invitation
    from cloister.client.history.entry import Accepted as Accepted
    from cloister.client.history.history import AcceptanceHistory as AcceptanceHistory
    from cloister.client.history.history import AcceptedChange as AcceptedChange
    from cloister.client.history.publishers import PublisherHistory as PublisherHistory
    from cloister.client.history.publishers import read_publishers as read_publishers
    from cloister.client.history.reading import WorkspaceHistory as WorkspaceHistory
    from cloister.client.history.reading import accept_change as accept_change
    from cloister.client.history.reading import read_history as read_history
    from cloister.client.packages.bundle import Bundle as Bundle
    from cloister.client.packages.bundle import MissingLibrary as MissingLibrary
    from cloister.client.packages.bundle import make_bundle as make_bundle
    from cloister.client.packages.lock import PackageLock as PackageLock
    from cloister.client.packages.lock import lock_requirements as lock_requirements
    from cloister.client.page.machines import ManifestCopy as ManifestCopy
    from cloister.client.page.machines import WatchedMachine as WatchedMachine
    from cloister.client.page.machines import machine_at as machine_at
    from cloister.client.page.machines import machines_of as machines_of
    from cloister.client.page.server import require_page_packages as require_page_packages
    from cloister.client.page.server import serve_page as serve_page
    from cloister.client.party.callback import CloisterWarning as CloisterWarning
    from cloister.client.party.machine import Machine as Machine
    from cloister.client.party.machine_events import MachineEvents as MachineEvents
    from cloister.client.party.party import Party as Party
    from cloister.client.report.report import write_report as write_report
    from cloister.client.result.audit import NOT_COVERED as NOT_COVERED
    from cloister.client.result.audit import Audit as Audit
    from cloister.client.result.audit import audit_log as audit_log
    from cloister.client.result.audit import logged_approvals as logged_approvals
    from cloister.client.result.fetch import FetchedResult as FetchedResult
    from cloister.client.result.fetch import ResultReport as ResultReport
    from cloister.client.result.fetch import fetch_result as fetch_result
    from cloister.client.result.proof import Proof as Proof
    from cloister.client.result.proof import rejection_today as rejection_today
    from cloister.client.result.proof import verify_result as verify_result
    from cloister.client.rules.consent import consent_by_rule as consent_by_rule
    from cloister.client.rules.rule import StandingRule as StandingRule
    from cloister.client.rules.rule import write_rule as write_rule
    from cloister.client.script.failure import OutputEnd as OutputEnd
    from cloister.client.trial.report import TRIAL_NOTICE as TRIAL_NOTICE
    from cloister.client.trial.report import TrialFile as TrialFile
    from cloister.client.trial.report import TrialReport as TrialReport
    from cloister.client.trial.trial import try_computation as try_computation
    from cloister.client.usage.record import UsageRecord as UsageRecord
    from cloister.client.usage.table import usage_items as usage_items
    from cloister.client.usage.table import usage_table as usage_table
    from cloister.client.usage.usage import check_usage as check_usage
    from cloister.client.usage.usage import record_usage as record_usage
    from cloister.client.waiting.next_steps import Step as Step
    from cloister.client.waiting.next_steps import StepReader as StepReader
    from cloister.client.waiting.next_steps import next_steps as next_steps
    from cloister.client.watch.command import parse_command as parse_command
    from cloister.client.watch.news import News as News
    from cloister.client.watch.news import NewsKind as NewsKind
    from cloister.client.watch.watch import WatchReport as WatchReport
    from cloister.client.watch.watch import watch_computation as watch_computation
    from cloister.endpoint import Address as Address
    from cloister.errors import CloisterError as CloisterError
    from cloister.errors import InputError as InputError
    from cloister.errors import ProofError as ProofError
    from cloister.errors import RefusedError as RefusedError
    from cloister.errors import UnreachableError as UnreachableError
    from cloister.keyfile.private import Passphrase as Passphrase
    from cloister.keyfile.private import describe_key as describe_key
    from cloister.keyfile.public import PublicKey as PublicKey
    from cloister.keyfile.public import read_public_key as read_public_key
    from cloister.protocol.events import Event as Event
    from cloister.protocol.events import EventKind as EventKind
    from cloister.protocol.events import Record as Record
    from cloister.protocol.events import State as State
    from cloister.protocol.manifest import Manifest as Manifest
    from cloister.protocol.progress import FINAL_STATES as FINAL_STATES
    from cloister.protocol.progress import ComputationProgress as ComputationProgress
    from cloister.protocol.progress import Phase as Phase

_NAMES = {
    "cloister.client.party.party": ("Party",),
    "cloister.client.party.machine": ("Machine",),
    "cloister.client.party.callback": ("CloisterWarning",),
    "cloister.errors": (
        "CloisterError",
        "InputError",
        "ProofError",
        "RefusedError",
        "UnreachableError",
    ),
    "cloister.client.files.image_file": ("load_image",),
    "cloister.client.files.keys": (
        "Key",
        "KeyType",
        "generate_key",
        "load_key",
        "public_path",
    ),
    "cloister.client.waiting.next_steps": (
        "StepReader",
        "Step",
        "next_steps",
    ),
    "cloister.client.page.machines": (
        "ManifestCopy",
        "WatchedMachine",
        "machine_at",
        "machines_of",
    ),
    "cloister.client.page.server": (
        "require_page_packages",
        "serve_page",
    ),
    "cloister.client.report.report": ("write_report",),
    "cloister.client.doctor.findings": ("Checkup",),
    "cloister.client.files.membership": (
        "Joining",
        "join",
        "load_invitation",
    ),
    "cloister.keyfile.private": ("Passphrase", "describe_key"),
    "cloister.keyfile.public": ("PublicKey", "read_public_key"),
    "cloister.client.evidence.first_policy": (
        "FirstPolicy",
        "open_members",
        "policy_from_evidence",
        "start_policy",
        "write_first_policy",
    ),
    "cloister.client.evidence.statement_demands": ("StatementDemands",),
    "cloister.client.evidence.policy_file": (
        "load_any_policy",
        "load_policy",
        "save_policy",
    ),
    "cloister.client.files.descriptor_file": (
        "find_cvm",
        "load_descriptor",
        "member_names",
    ),
    "cloister.client.connection.opening": (
        "Opening",
        "Target",
        "attest",
    ),
    "cloister.client.connection.connection": ("Connection",),
    "cloister.client.connection.machine_verdict": ("MachineVerdict",),
    "cloister.client.computation.algorithm_files": ("describe_algorithm",),
    "cloister.client.computation.metrics": (
        "AgentMetrics",
        "Sample",
        "fetch_metrics",
    ),
    "cloister.client.computation.asset": (
        "LocalAsset",
        "describe_asset",
    ),
    "cloister.client.packages.lock": (
        "PackageLock",
        "lock_requirements",
    ),
    "cloister.client.packages.bundle": (
        "Bundle",
        "MissingLibrary",
        "make_bundle",
    ),
    "cloister.client.computation.manifest": (
        "WrittenManifest",
        "load_manifest",
        "write_manifest",
    ),
    "cloister.client.computation.review": (
        "ManifestReview",
        "ReviewSection",
        "review_manifest",
        "rollback",
    ),
    "cloister.client.computation.submission": ("submit",),
    "cloister.client.computation.upload": (
        "Uploaded",
        "UploadReport",
        "Uploads",
        "upload_algorithm",
        "upload_assets",
        "upload_datasets",
    ),
    "cloister.client.computation.status": (
        "ComputationStatus",
        "fetch_status",
    ),
    "cloister.client.computation.events": (
        "follow_events",
        "save_events",
    ),
    "cloister.client.computation.timeline": (
        "Timeline",
        "TimelineEntry",
        "key_names",
    ),
    "cloister.client.party.machine_events": ("MachineEvents",),
    "cloister.client.computation.logs": (
        "ProgramLog",
        "read_logs",
    ),
    "cloister.client.exchange.package": ("export_computation",),
    "cloister.client.exchange.importing": (
        "ImportedComputation",
        "MissingPart",
        "import_computation",
    ),
    "cloister.client.usage.record": ("UsageRecord",),
    "cloister.client.usage.table": (
        "usage_items",
        "usage_table",
    ),
    "cloister.client.usage.usage": (
        "check_usage",
        "record_usage",
    ),
    "cloister.client.history.entry": ("Accepted",),
    "cloister.client.history.history": (
        "AcceptanceHistory",
        "AcceptedChange",
    ),
    "cloister.client.history.publishers": (
        "PublisherHistory",
        "read_publishers",
    ),
    "cloister.client.history.reading": (
        "WorkspaceHistory",
        "accept_change",
        "read_history",
    ),
    "cloister.client.watch.watch": (
        "WatchReport",
        "watch_computation",
    ),
    "cloister.client.watch.news": (
        "News",
        "NewsKind",
    ),
    "cloister.client.watch.command": ("parse_command",),
    "cloister.client.result.fetch": (
        "FetchedResult",
        "ResultReport",
        "fetch_result",
    ),
    "cloister.client.result.proof": (
        "Proof",
        "rejection_today",
        "verify_result",
    ),
    "cloister.client.result.audit": (
        "NOT_COVERED",
        "Audit",
        "audit_log",
        "logged_approvals",
    ),
    "cloister.client.evidence.collateral_folder": (
        "FilledFolder",
        "fetch_collateral",
        "pack_collateral",
    ),
    "cloister.client.evidence.explanation": ("Explanation",),
    "cloister.client.evidence.examination": (
        "Examination",
        "require_evidence",
        "verify_evidence",
    ),
    "cloister.client.evidence.typed_bytes": (
        "parse_nonce",
        "parse_report_data",
    ),
    "cloister.client.evidence.verdict": (
        "verdict_lines",
        "verdict_summary",
    ),
    "cloister.client.computation.lifecycle": (
        "reset_machine",
        "start_run",
        "stop_computation",
    ),
    "cloister.client.computation.decisions": (
        "ResultPreview",
        "approve_result",
        "preview_result",
        "reject_result",
        "withdraw_consent",
    ),
    "cloister.client.rules.rule": (
        "StandingRule",
        "write_rule",
    ),
    "cloister.client.rules.consent": ("consent_by_rule",),
    "cloister.client.collateral.sources": ("CollateralSources",),
    "cloister.client.collateral.folder": ("load_collateral",),
    "cloister.client.collateral.keeping": (
        "KeptCollateral",
        "list_collateral",
    ),
    "cloister.client.collateral.network": ("VendorServices",),
    "cloister.client.connection.report": ("TransferReport",),
    "cloister.client.connection.refusal": (
        "ConnectionLost",
        "Refusal",
    ),
    "cloister.attestation.policy.policy": ("Policy",),
    "cloister.client.script.failure": ("OutputEnd",),
    "cloister.client.trial.report": (
        "TRIAL_NOTICE",
        "TrialFile",
        "TrialReport",
    ),
    "cloister.client.trial.trial": ("try_computation",),
    "cloister.endpoint": ("Address",),
    "cloister.protocol.events": (
        "Event",
        "EventKind",
        "Record",
        "State",
    ),
    "cloister.protocol.manifest": ("Manifest",),
    "cloister.protocol.progress": (
        "FINAL_STATES",
        "Phase",
        "ComputationProgress",
    ),
}
"""The public names by module, in the order of a computation."""
_MODULES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [name for names in _NAMES.values() for name in names]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
