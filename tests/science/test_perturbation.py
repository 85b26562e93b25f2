import numpy as np
import pytest

from lizrcl_flows.errors import InputError, LizrclError
from lizrcl_flows.science.geometry import shortest_contact
from lizrcl_flows.science.perturbation import perturb, random_strain
from lizrcl_flows.science.structures import load_structure, supercell

IDEAL = load_structure("Li2ZrCl6_ideal_P-31c", phase="ideal", region="bulk")


def test_the_same_seed_gives_the_same_document_and_another_seed_another():
    first, again, other = (perturb(IDEAL, np.random.default_rng(seed)) for seed in (4, 4, 5))
    assert first.id == again.id
    assert first.id != other.id


def test_a_child_names_its_parent_and_what_was_done():
    child = perturb(IDEAL, np.random.default_rng(1))
    assert (child.parents, child.phase, child.region) == ((IDEAL.id,), "ideal", "bulk")
    assert (child.origin.kind, child.origin.source) == ("perturbed", IDEAL.id)
    assert 0.01 <= child.origin.parameters["strain"] <= 0.05
    assert 0.05 <= child.origin.parameters["rattle_a"] <= 0.15
    assert child.origin.parameters["tries"] >= 1
    assert child.created_at >= IDEAL.created_at


def test_recorded_strain_turns_the_parents_cell_into_the_childs():
    child = perturb(IDEAL, np.random.default_rng(2), rattle_a=(0.0, 0.0))
    xx, yy, zz, yz, xz, xy = child.origin.parameters["strain_xx_yy_zz_yz_xz_xy"]
    tensor = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    np.testing.assert_allclose(IDEAL.cell @ (np.eye(3) + tensor), child.cell, atol=1e-7)
    np.testing.assert_allclose(IDEAL.positions @ (np.eye(3) + tensor), child.positions, atol=1e-7)
    assert np.abs(np.linalg.eigvalsh(tensor)).max() == pytest.approx(child.origin.parameters["strain"])


def test_magnitudes_fill_their_range_and_all_six_components_are_used():
    rng = np.random.default_rng(3)
    tensors = np.array([random_strain(rng, rng.uniform(0.01, 0.05)) for _ in range(2000)])
    magnitudes = np.abs(np.linalg.eigvalsh(tensors)).max(axis=1)
    assert 0.01 <= magnitudes.min() < 0.0105
    assert 0.0495 < magnitudes.max() <= 0.05
    np.testing.assert_array_equal(tensors, tensors.transpose(0, 2, 1))
    spread = tensors.std(axis=0)
    # without a preferred direction the variance of a diagonal component is twice that of another, whatever the scale
    # up to the trace's share; here within 15 %
    np.testing.assert_allclose(spread[np.triu_indices(3, 1)], spread[0, 1], rtol=0.08)
    np.testing.assert_allclose(np.diag(spread), spread[0, 0], rtol=0.08)
    assert np.abs(tensors.mean(axis=0)).max() < 5 * 0.03 / np.sqrt(2000)


def test_displacements_are_gaussian_with_the_recorded_standard_deviation():
    large = supercell(IDEAL, (4, 4, 2))
    child = perturb(large, np.random.default_rng(6), strain=(0.0, 0.0), rattle_a=(0.1, 0.1))
    moved = child.positions - large.positions
    n = moved.size
    assert moved.std() == pytest.approx(0.1, abs=5 * 0.1 / np.sqrt(2 * n))
    assert abs((moved**4).mean() / (moved**2).mean() ** 2 - 3) < 5 * np.sqrt(24 / n)


def test_no_child_breaks_the_geometry_rule_and_tries_are_counted():
    tries = []
    for seed in range(20):
        child = perturb(IDEAL, np.random.default_rng(seed), rattle_a=(0.25, 0.35))
        assert shortest_contact(child, 0.7) is None
        tries.append(child.origin.parameters["tries"])
    assert max(tries) > 1


def test_the_impossible_is_said_in_one_sentence_with_the_pair():
    with pytest.raises(
        LizrclError, match=r"\(ideal\): no copy .* 5 tries; in the last try atoms? .* A apart"
    ) as caught:
        perturb(IDEAL, np.random.default_rng(0), rattle_a=(1.5, 2.0), max_tries=5)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ranges", [{"strain": (0.05, 0.01)}, {"strain": (0.0, 0.9)}, {"rattle_a": (-0.1, 0.1)}])
def test_a_range_that_is_none_is_refused(ranges):
    with pytest.raises(InputError, match="smaller number first"):
        perturb(IDEAL, np.random.default_rng(0), **ranges)
