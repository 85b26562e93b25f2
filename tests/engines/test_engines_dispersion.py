"""D3 on top of any ASE calculator, and energies of calculators with smeared occupations."""

import numpy as np
import pytest

from lizrcl_flows.documents.spec import LevelSpec
from lizrcl_flows.engines import calculators
from lizrcl_flows.engines.calculation import evaluate, known_numbers, zero_energy
from lizrcl_flows.engines.dispersion_calculator import WithDispersion
from lizrcl_flows.engines.labelling import make_labeller
from lizrcl_flows.engines.labelling.ase import AseLabeller
from lizrcl_flows.errors import InputError
from lizrcl_flows.science.structures import atoms_from_structure

TOY = "toy_calculator:ToyIonic"
SMEARED = """
from toy_calculator import ToyIonic


class Smeared(ToyIonic):
    '''Free energy as ToyIonic has it; the energy without smearing is a quarter of an eV higher.'''

    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        self.results["free_energy"] = self.results["energy"]
        self.results["energy"] = self.results["energy"] + 0.25
"""


def toy(**changes):
    return AseLabeller(TOY, **changes)


@pytest.fixture
def smeared(tmp_path, monkeypatch):
    (tmp_path / "smeared_calculator.py").write_text(SMEARED)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "smeared_calculator:Smeared"


def test_label_is_the_sum_of_the_calculator_and_dftd3(lithium_chloride, tmp_path):
    from dftd3.ase import DFTD3

    bare = toy().label(lithium_chloride, tmp_path / "bare")
    for name, damping in (("D3-BJ", "d3bj"), ("D3-zero", "d3zero")):
        atoms = atoms_from_structure(lithium_chloride)
        atoms.calc = DFTD3(method="PBE", damping=damping)
        result = toy(dispersion=name).label(lithium_chloride, tmp_path / name)
        assert result.energy == pytest.approx(bare.energy + atoms.get_potential_energy(), abs=1e-12)
        assert result.forces == pytest.approx(bare.forces + atoms.get_forces(), abs=1e-12)
        assert result.stress == pytest.approx(bare.stress + atoms.get_stress(voigt=False), abs=1e-12)
        assert result.executable.startswith(f"{TOY} + {name} ")


def test_d3_of_lithium_chloride_is_what_cp2k_has(lithium_chloride):
    """CP2K 2023.1 printed -0.06614485289969 Hartree for this crystal (tests/engines/data/cp2k_licl.out, same D3)."""
    from dftd3.ase import DFTD3

    atoms = atoms_from_structure(lithium_chloride)
    atoms.calc = DFTD3(method="PBE", damping="d3bj")
    # CP2K cuts at 16 A here, dftd3 at 32 A: 1e-3 of it lies between
    assert atoms.get_potential_energy() == pytest.approx(-0.06614485289969 * 27.211386, rel=2e-3)


def test_force_and_stress_are_derivatives_of_the_sum(lithium_chloride):
    from toy_calculator import ToyIonic

    def energy_of(atoms):
        atoms.calc = WithDispersion(ToyIonic(), "PBE", "d3bj")
        return evaluate(atoms)

    atoms = atoms_from_structure(lithium_chloride)
    _, forces, stress = energy_of(atoms)
    moved, strained = [], []
    for sign in (1, -1):
        copy = atoms.copy()
        copy.positions[2, 1] += sign * 1e-3
        moved.append(energy_of(copy)[0])
        copy = atoms.copy()
        copy.set_cell(atoms.cell.array @ (np.eye(3) + sign * np.diag([0, 1e-3, 0])), scale_atoms=True)
        strained.append(energy_of(copy)[0])
    assert forces[2, 1] == pytest.approx(-(moved[0] - moved[1]) / 2e-3, abs=1e-5)
    # pairs of atoms cross D3's cutoff as the cell changes
    assert stress[1, 1] == pytest.approx((strained[0] - strained[1]) / 2e-3 / atoms.get_volume(), abs=5e-5)


def test_levels_with_and_without_dispersion_are_never_one():
    levels = [
        toy().level(),
        toy(dispersion="D3-BJ").level(),
        toy(dispersion="D3-zero").level(),
        toy(dispersion="D3-BJ", functional="PBEsol").level(),
        AseLabeller("tblite").level(),
    ]
    assert len({level.id for level in levels}) == 5
    from importlib.metadata import version

    assert [level.dispersion for level in levels[:3]] == [
        None,
        f"D3-BJ (dftd3 {version('dftd3')})",
        f"D3-zero (dftd3 {version('dftd3')})",
    ]
    assert [level.functional for level in levels] == [None, "PBE", "PBE", "PBEsol", "GFN1-xTB"]


def test_levels_without_dispersion_are_what_they_were(monkeypatch):
    """Ids of levels that are stored somewhere do not change by the new keys: this one is of before there were any."""
    monkeypatch.setattr(calculators, "package_version", lambda _: "0.8.0")
    assert AseLabeller("tblite").level().id == "lev_50fef64a370e17b0f39a"


def test_a_label_of_one_level_is_not_found_by_another(lithium_chloride, tmp_path):
    with_d3 = toy(dispersion="D3-BJ").label(lithium_chloride, tmp_path)
    without = toy().label(lithium_chloride, tmp_path)
    assert without.energy - with_d3.energy == pytest.approx(1.8, abs=0.1)


def test_the_functional_is_that_of_the_calculator_or_pbe(monkeypatch):
    monkeypatch.setattr(calculators, "package_version", lambda _: "26.7")
    gpaw = {"calculator": "gpaw:GPAW", "parameters": {"xc": "revPBE"}, "dispersion": "D3-BJ"}
    engine = make_labeller(LevelSpec(**gpaw))
    assert engine.level().functional == "revPBE"
    assert engine._choice().request()["dispersion"] == {"functional": "revPBE", "damping": "d3bj"}
    assert make_labeller(LevelSpec(**gpaw, functional="PBE")).level().functional == "PBE"


@pytest.mark.parametrize(
    ("calculator", "parameters", "words"),
    [
        ("tblite", {}, "tight-binding methods contain dispersion, and D3-BJ would count it twice"),
        ("tblite.ase:TBLite", {"method": "GFN2-xTB"}, "count it twice"),
        ("sevenn.calculator:SevenNetD3Calculator", {}, "it adds dispersion itself"),
        ("mace.calculators:mace_mp", {"dispersion": True}, "it adds dispersion itself"),
        ("gpaw:GPAW", {"xc": "vdW-DF2"}, "the functional vdW-DF2 contains dispersion"),
        ("gpaw:GPAW", {"xc": {"name": "BEEF-vdW", "backend": "libvdwxc"}}, "contains dispersion"),
    ],
)
def test_dispersion_is_not_counted_twice(calculator, parameters, words):
    with pytest.raises(InputError, match=words):
        AseLabeller(calculator, parameters, dispersion="D3-BJ")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dispersion": "D4"}, "dispersion 'D4' should be D3-BJ or D3-zero, or none"),
        ({"functional": "PBE"}, "functional 'PBE' is that of the dispersion correction and none is asked for"),
    ],
)
def test_choices_that_make_no_sense_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        toy(**changes)


def test_an_unknown_functional_stops_all_labels(lithium_chloride, tmp_path):
    with pytest.raises(InputError, match="cannot be made"):
        toy(dispersion="D3-BJ", functional="no-such").label(lithium_chloride, tmp_path)


def test_without_dftd3_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr("lizrcl_flows.engines.dispersion.package_version", lambda _: None)
    with pytest.raises(InputError, match=r"needs the package dftd3: pip install lizrcl_flows\[d3\]"):
        toy(dispersion="D3-BJ").level()


def test_a_calculator_without_stress_has_none_with_dispersion(lithium_chloride, tmp_path):
    result = toy(parameters={"misbehave": "no_stress"}, dispersion="D3-BJ").label(lithium_chloride, tmp_path)
    assert result.accepted
    assert result.stress is None


def test_a_failure_below_the_dispersion_keeps_its_reason(lithium_chloride, tmp_path):
    engine = toy(parameters={"misbehave": "not_converged"}, dispersion="D3-BJ", max_attempts=1)
    assert "SCF not converged in 300 cycles" in engine.label(lithium_chloride, tmp_path).reason


def test_elements_are_asked_of_the_calculator_below():
    class Bare:
        type_map: dict = {3: 0, 17: 1}  # noqa: RUF012

    assert known_numbers(WithDispersion(Bare(), "PBE", "d3bj")) == {3, 17}


def test_energy_is_the_free_energy_whose_derivative_the_forces_are(lithium_chloride, smeared, tmp_path):
    plain = toy().label(lithium_chloride, tmp_path / "plain")
    assert plain.energy_zero is None
    result = AseLabeller(smeared).label(lithium_chloride, tmp_path / "smeared")
    assert result.energy == plain.energy
    assert result.energy_zero == plain.energy + 0.25
    both = AseLabeller(smeared, dispersion="D3-BJ").label(lithium_chloride, tmp_path / "both")
    assert both.energy_zero - both.energy == pytest.approx(0.25, abs=1e-12)
    assert both.energy == toy(dispersion="D3-BJ").label(lithium_chloride, tmp_path / "d3").energy
    again = AseLabeller(smeared).label(lithium_chloride, tmp_path / "smeared")
    assert again.energy_zero == result.energy_zero


def test_a_calculator_that_tells_one_energy_has_no_other(lithium_chloride):
    from toy_calculator import ToyIonic

    atoms = atoms_from_structure(lithium_chloride)
    atoms.calc = ToyIonic()
    assert evaluate(atoms)[0] == atoms.get_potential_energy()
    assert zero_energy(atoms) is None


# --- time


def test_when_the_workers_time_is_up_there_is_no_verdict_and_a_rerun_computes(crystal, tmp_path):
    slow = toy(parameters={"delay_s": 60.0}, time_limit_s=30.0)
    result = slow.label(crystal, tmp_path, seconds=1.0)
    assert result.interrupted
    assert not result.accepted
    assert "the time of the worker was up after 1 s" in result.reason
    assert result.attempts == 1
    assert not (tmp_path / "label.json").exists()
    assert toy().label(crystal, tmp_path, seconds=60.0).accepted


def test_its_own_limit_is_a_verdict_even_if_the_worker_has_little_more(crystal, tmp_path):
    slow = toy(parameters={"delay_s": 60.0}, time_limit_s=1.0, max_attempts=1)
    result = slow.label(crystal, tmp_path, seconds=1.5)
    assert not result.interrupted
    assert "was ended at its time limit after 1 s" in result.reason
    assert (tmp_path / "label.json").exists()


def test_the_second_attempt_has_what_the_first_left_of_the_workers_time(crystal, tmp_path):
    slow = toy(parameters={"delay_s": 60.0}, time_limit_s=1.2, max_attempts=2)
    result = slow.label(crystal, tmp_path, seconds=2.0)
    assert result.interrupted
    assert result.attempts == 2
    assert result.wall_s == pytest.approx(2.0, abs=0.5)
