"""Documents: identity, digests, units and round trips."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from lizrcl_flows.documents import (
    DOCUMENTS,
    Campaign,
    CampaignSpec,
    Candidate,
    Dataset,
    Document,
    Label,
    Origin,
    Structure,
    Trajectory,
    canonical_sha256,
)
from lizrcl_flows.documents.arrays import Array, ArraySpec
from lizrcl_flows.units import Unit


def structure(**changes: Any) -> Structure:
    content: dict[str, Any] = {
        "n_atoms": 2,
        "numbers": [3, 17],
        "cell": np.eye(3) * 5.13,
        "positions": [[0, 0, 0], [2.565, 0, 0]],
        "formula": "ClLi",
        "chemical_system": "Cl-Li",
        "origin": Origin(kind="bundled", source="test"),
    }
    return Structure(**{**content, **changes})


def label(**changes: Any) -> Label:
    content: dict[str, Any] = {
        "structure": "str_0",
        "level": "lev_0",
        "status": "accepted",
        "n_atoms": 2,
        "energy": -8.25,
        "forces": [[0.1, 0, 0], [-0.1, 0, 0]],
        "stress": np.eye(3) * 0.01,
        "formula": "ClLi",
    }
    return Label(**{**content, **changes})


def test_the_same_thing_twice_is_one_document():
    first, second = structure(), structure(created_at=datetime.now(UTC) + timedelta(days=1), phase="rocksalt")
    assert first.id == second.id
    assert first.digest != second.digest


def test_the_id_is_the_same_on_every_machine():
    assert structure().id == "str_d2b0766bc77226a37f0c"


def test_ids_of_documents_written_before_fields_were_added_stay_as_they_were():
    # computed by the version that stored the first documents; a field that came later may not change them
    spec = CampaignSpec.model_validate(
        {
            "name": "pinned",
            "system": "demo",
            "elements": ["Li", "Cl"],
            "phases": [{"name": "salt", "structure": "salt.cif"}],
            "initial": {"n_structures": 3, "n_holdout": 1},
            "labelling": {"calculator": "a:B"},
            "training": {},
            "exploration": {"conditions": [{"ensemble": "nvt", "temperature_k": 300}]},
            "selection": {"engine": "farthest_point", "n_structures": 2},  # the default of then, which is stored
        }
    )
    assert Campaign(name="pinned", spec=spec, phases={"salt": "str_0"}).id == "cam_1ec6019298f6a2725a5f"
    run = {
        "purpose": "exploration",
        "structure": "str_0",
        "committee": "com_0",
        "supercell": (1, 1, 1),
        "ensemble": "nvt",
        "temperature_k": 300.0,
        "pressure_gpa": None,
        "steps": 10,
        "equilibration_steps": 0,
        "time_step_fs": 1.0,
        "sample_every": 1,
        "seed": 1,
        "engine": "gpumd",
        "campaign": "c",
        "generation": 1,
    }
    assert Trajectory.id_for(**run) == Trajectory.id_for(**run, level=None) == "tra_006ee72d7b6f988582c5"
    assert Trajectory.id_for(**run, level="lev_0") != Trajectory.id_for(**run)
    assert Candidate.id_for(trajectory="tra_0", frame=1, committee="com_0") == "can_25c5a6ea9832df201542"


@pytest.mark.parametrize(
    "change", [{"numbers": [3, 9]}, {"positions": [[0, 0, 0], [2.565, 0, 1e-7]]}, {"pbc": (True, True, False)}]
)
def test_another_geometry_is_another_document(change):
    assert structure(**change).id != structure().id


def test_coordinates_below_the_stored_precision_do_not_make_another_document():
    assert structure(positions=[[-0.0, 0, 4e-10], [2.565, 0, 0]]).id == structure().id


def test_a_label_is_named_by_its_request_and_its_digest_covers_its_numbers():
    one, other = label(), label(energy=-8.5)
    assert one.id == other.id == Label.id_for(structure="str_0", level="lev_0")
    moment = one.created_at
    changed = label(forces=[[0.1, 0, 0], [-0.1, 0, 1e-300]], created_at=moment)
    assert changed.digest != label(created_at=moment).digest


def test_a_projection_may_change_without_the_digest():
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    quarantined = label(status="quarantined", created_at=moment)
    assert quarantined.digest == label(created_at=moment).digest


@pytest.mark.parametrize("document", [structure(), label(), label(stress=None)])
def test_round_trips_keep_id_and_digest(document: Document):
    for again in (
        type(document).from_record(document.to_record()),
        type(document).from_dict(json.loads(json.dumps(document.as_dict()))),
    ):
        assert again == document
        assert again.compute_id() == document.id
        assert again.compute_digest() == document.digest


def test_arrays_are_little_endian_binary_in_the_database_and_read_only_in_python():
    record = structure().to_record()
    assert record["positions"] == np.array([[0, 0, 0], [2.565, 0, 0]], dtype="<f8").tobytes()
    assert record["numbers"] == bytes([3, 17])
    with pytest.raises(ValueError, match="read-only"):
        structure().positions[0, 0] = 1.0


def test_wrong_shapes_and_singular_cells_are_refused():
    with pytest.raises(ValidationError, match=r"positions holds 3 numbers, expected shape \(2, 3\)"):
        structure(positions=[[0, 0, 0]])
    with pytest.raises(ValidationError, match="singular"):
        structure(cell=[[1, 0, 0], [2, 0, 0], [0, 0, 1]])


def test_a_label_is_complete_or_says_why_not():
    with pytest.raises(ValidationError, match="needs energy and forces"):
        label(forces=None)
    with pytest.raises(ValidationError, match="needs its reason"):
        label(status="failed")


def test_documents_are_frozen_and_refuse_unknown_fields():
    with pytest.raises(ValidationError, match="frozen"):
        structure().phase = "other"
    with pytest.raises(ValidationError, match="Extra inputs"):
        structure(energy=-3.0)


def test_an_id_needs_exactly_the_identity_fields():
    with pytest.raises(KeyError, match="named by"):
        Dataset.id_for(parent=None)


def test_revised_computes_id_and_digest_anew():
    document = structure().revised(phase="x", pbc=(True, True, False))
    assert document.id != structure().id
    assert document.compute_digest() == document.digest


def test_prefixes_and_collections_are_unique():
    assert len({kind.prefix for kind in DOCUMENTS}) == len({kind.collection for kind in DOCUMENTS}) == len(DOCUMENTS)
    for kind in DOCUMENTS:
        assert set(kind.identity) <= set(kind.model_fields)
        assert set(kind.projections) <= set(kind.model_fields)


def _numeric_leaves(annotation: Any, marks: list[Any], where: str, found: list[tuple[str, list[Any]]]) -> None:
    marks = [*marks, *getattr(annotation, "__metadata__", ())]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        _walk(annotation, where, found)
    elif annotation in (int, float) or annotation is Array or annotation is np.ndarray:
        found.append((where, marks))
    else:
        for part in get_args(annotation):
            if not isinstance(part, list) and type(part).__name__ != "TypeAliasType":
                _numeric_leaves(part, marks, where, found)


def _walk(model: type[BaseModel], where: str, found: list[tuple[str, list[Any]]]) -> None:
    for name, field in model.model_fields.items():
        _numeric_leaves(field.annotation, list(field.metadata), f"{where}.{name}", found)


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_every_numeric_field_declares_its_unit(kind):
    found: list[tuple[str, list[Any]]] = []
    _walk(kind, kind.__name__, found)
    assert found
    missing = [where for where, marks in found if not any(isinstance(mark, Unit | ArraySpec) for mark in marks)]
    assert missing == []


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_json_schemas_export_with_units(kind):
    schema = json.dumps(kind.model_json_schema())
    assert '"unit"' in schema


def test_canonical_form_tells_types_apart_and_ignores_order():
    assert canonical_sha256({"a": 1, "b": [2.0]}) == canonical_sha256({"b": (2.0,), "a": 1})
    assert canonical_sha256(1) != canonical_sha256(1.0) != canonical_sha256("1")
    assert canonical_sha256(["ab", "c"]) != canonical_sha256(["a", "bc"])
    assert canonical_sha256(0.0) == canonical_sha256(-0.0)
    with pytest.raises(TypeError, match="no canonical form"):
        canonical_sha256(object())


def test_a_field_added_with_a_default_leaves_digests_as_they_were():
    class Later(Structure):
        confidence: str | None = None

    earlier = structure()
    later = Later.from_record(earlier.to_record())
    assert later.compute_digest() == earlier.digest
    assert later.revised(confidence="high", created_at=earlier.created_at).digest != earlier.digest


def test_the_digest_covers_the_inside_of_records():
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    here, there = (structure(created_at=moment, provenance={"host": host}) for host in ("a", "b"))
    assert len({here.digest, there.digest, structure(created_at=moment).digest}) == 3
