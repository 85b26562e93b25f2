import numpy as np
import pytest

from lizrcl_flows.documents.spec import SelectionSpec
from lizrcl_flows.engines.selection import ENGINES, make_selector
from lizrcl_flows.jobs.screening import _Found, _pool
from lizrcl_flows.nep import Committee, NepHeader, NepModel
from lizrcl_flows.science.descriptors import mean_descriptors
from lizrcl_flows.science.perturbation import perturb
from lizrcl_flows.science.screening import Judged
from lizrcl_flows.science.structures import load_structure

CELL = load_structure("Li2ZrCl6_ideal_P-31c", phase="ideal")


@pytest.fixture(scope="module")
def committee():
    header = NepHeader(
        version=4,
        species=("Li", "Zr", "Cl"),
        cutoffs=((5.0, 4.0),) * 3,
        n_max=(4, 4),
        basis_size=(6, 6),
        l_max=4,
        four_body=False,
        five_body=False,
        neurons=4,
    )
    rng = np.random.default_rng(0)
    parameters = rng.normal(scale=0.3, size=header.n_parameters)
    return Committee([NepModel(header, parameters, rng.uniform(0.05, 0.2, header.n_descriptors), (100, 100))])


@pytest.mark.parametrize("engine", ENGINES)
def test_every_selector_finds_in_the_pool_what_it_needs(engine, committee):
    rng = np.random.default_rng(2)
    known = [perturb(CELL, np.random.default_rng(seed), (0.0, 0.01), (0.01, 0.02)) for seed in range(6)]
    positions = known[0].positions.copy()
    positions[0] += (0.9, 0.0, 0.0)  # one atom of 18 is where none has been
    odd = known[0].revised(positions=positions)
    structures = [*known[1:], odd]
    candidates = [
        (
            Judged(run=0, frame=number, time_fs=10.0 * number, eps=0.4, structure_id=structure.id),
            _Found(None, structure, rng.uniform(size=structure.n_atoms)),
        )
        for number, structure in enumerate(structures)
    ]
    selector = make_selector(SelectionSpec(engine=engine, n_structures=2))
    pool = _pool(committee, candidates, known, selector)
    np.testing.assert_allclose(pool.descriptors, mean_descriptors(committee, structures), rtol=1e-5)
    assert pool.eps.tolist() == [0.4] * 6
    assert (pool.environments is not None) == (selector.needs == "environments")
    choice = selector.select(pool, 2, np.random.default_rng(0))
    if engine != "random":
        assert choice.indices == (5,)
