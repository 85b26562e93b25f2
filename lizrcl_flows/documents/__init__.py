"""What is stored: one frozen pydantic model per collection, with content ids and a unit on every number."""

from lizrcl_flows.documents.analyses import Analysis
from lizrcl_flows.documents.base import SCHEMA_VERSION, Document, FileRef, Provenance, Record, now_utc
from lizrcl_flows.documents.campaigns import (
    Campaign,
    ConvergenceEvidence,
    Generation,
    PhaseTiming,
    RejectionCount,
)
from lizrcl_flows.documents.canonical import canonical_sha256
from lizrcl_flows.documents.labels import Dataset, Label, Level, Potential
from lizrcl_flows.documents.lineage import Event, LineageNode
from lizrcl_flows.documents.models import Calibration, Committee, Errors, Evaluation, Model, ParityGroup
from lizrcl_flows.documents.runs import Health, ThermoSummary, Trajectory
from lizrcl_flows.documents.spec import CampaignSpec
from lizrcl_flows.documents.structures import Candidate, Offence, Origin, Structure
from lizrcl_flows.documents.transports import Transport

DOCUMENTS: tuple[type[Document], ...] = (
    Campaign,
    Structure,
    Candidate,
    Label,
    Level,
    Dataset,
    Model,
    Committee,
    Evaluation,
    Generation,
    Trajectory,
    Transport,
    Analysis,
)
"""Every document class, in the order of the loop."""

BY_PREFIX = {kind.prefix: kind for kind in DOCUMENTS}
BY_COLLECTION = {kind.collection: kind for kind in DOCUMENTS}

__all__ = [
    "BY_COLLECTION",
    "BY_PREFIX",
    "DOCUMENTS",
    "SCHEMA_VERSION",
    "Analysis",
    "Calibration",
    "Campaign",
    "CampaignSpec",
    "Candidate",
    "Committee",
    "ConvergenceEvidence",
    "Dataset",
    "Document",
    "Errors",
    "Evaluation",
    "Event",
    "FileRef",
    "Generation",
    "Health",
    "Label",
    "Level",
    "LineageNode",
    "Model",
    "Offence",
    "Origin",
    "ParityGroup",
    "PhaseTiming",
    "Potential",
    "Provenance",
    "Record",
    "RejectionCount",
    "Structure",
    "ThermoSummary",
    "Trajectory",
    "Transport",
    "canonical_sha256",
    "now_utc",
]
