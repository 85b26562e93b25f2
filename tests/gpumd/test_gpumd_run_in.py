"""``run.in``: every keyword, both dialects, and errors that name the line."""

import numpy as np
import pytest

from lizrcl_flows.errors import InputError
from lizrcl_flows.gpumd import (
    Active,
    ComputeMsd,
    CorrectVelocity,
    DumpFrames,
    DumpNetcdf,
    DumpRestart,
    DumpThermo,
    Fix,
    ModelXyz,
    NptScr,
    Nve,
    NvtBdp,
    Potential,
    Release,
    Replicate,
    Run,
    RunIn,
    TimeStep,
    Velocity,
    make_plan,
    parse_run_in,
    read_run_in,
    render_run_in,
    write_run_in,
)

OLD, NEW = Release(5, 6), Release(5, 6, development=True)
EVERYTHING = (
    Potential("nep0.txt"),
    Potential("nep1.txt"),
    Replicate((2, 1, 1)),
    Velocity(300.0, 42),
    TimeStep(0.5, 0.02),
    NvtBdp(300.0, 1000.0, 100.0),
    CorrectVelocity(10),
    Fix(0),
    DumpThermo(10),
    DumpFrames(100, properties=("velocity", "force")),
    DumpFrames(50, "li.xyz", ("unwrapped_position", "group_labels"), group=(0, 0)),
    DumpFrames(50, "frame*", ("group_labels", "mass")),
    DumpRestart(1000),
    Active(10, has_velocity=False, has_force=True, has_uncertainty=True, threshold=0.3),
    ComputeMsd(10, 100, group=(0, 0)),
    Run(1000),
    NptScr(300.0, 300.0, 100.0, (0.0001,) * 3 + (0.0,) * 3, (50.0,) * 6, 1000.0),
    Run(500),
    NptScr(300.0, 300.0, 100.0, (0.1,), (50.0,), 1000.0),
    ComputeMsd(10, 100, all_groups=0, save_every=1000),
    CorrectVelocity(10, 0),
    Run(1),
    Nve(),
    Velocity(1e-7),
    TimeStep(2.0),
    Run(2),
)


@pytest.mark.parametrize("release", [OLD, NEW])
def test_what_is_written_is_read_back(tmp_path, release):
    write_run_in(tmp_path / "run.in", RunIn(EVERYTHING), release)
    assert read_run_in(tmp_path / "run.in").commands == EVERYTHING


def test_lines_for_releases():
    commands = (
        DumpFrames(100, properties=("velocity",)),
        DumpFrames(5, "li.xyz", ("mass", "group_labels"), group=(0, 2)),
        DumpNetcdf(7),
    )
    old = render_run_in(RunIn(commands), OLD).splitlines()
    assert old == ["dump_exyz 100 1 0 0 0", "dump_xyz 0 2 5 li.xyz mass group", "dump_netcdf 7 0 precision single"]
    new = render_run_in(RunIn(commands), NEW).splitlines()
    assert new == [
        "dump_xyz 100 dump.xyz precision single velocity",
        "dump_xyz 5 li.xyz group 0 2 precision single mass group_labels",
        "dump_netcdf 7 movie.nc precision single",
    ]
    active = Active(10, has_velocity=False, has_force=True, has_uncertainty=True, threshold=0.3)
    assert active.line(OLD) == "active 10 0 1 1 0.3"
    assert active.line(Release(4, 4)) == "active 10 0 1 1 0.3"
    assert active.line(Release(4, 3)) == "active 10 0 1 0.3"


def test_what_a_release_cannot_do_is_refused():
    with pytest.raises(InputError, match=r"5\.6\+ has no 'separated' .* ends in '\*'"):
        DumpFrames(1, separated=True).line(NEW)
    with pytest.raises(InputError, match=r"ends in '\*'"):
        DumpFrames(1, properties=("mass",), separated=True).line(OLD)
    with pytest.raises(InputError, match=r"movie\.nc"):
        DumpNetcdf(1, "li.nc").line(OLD)


def test_numbers_lose_nothing():
    third = Velocity(1.0 / 3.0)
    (back,) = parse_run_in(third.line(OLD)).commands
    assert back == third


def test_comments_and_blank_lines():
    run_in = parse_run_in("# first\n\n  run 5 # five\n")
    assert run_in.commands == (Run(5),)
    assert run_in.lines == (3,)


def test_old_dump_xyz_of_all_atoms():
    assert parse_run_in("dump_xyz -1 1 10 all.xyz velocity").commands == (DumpFrames(10, "all.xyz", ("velocity",)),)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("velocty 300", "there is no keyword 'velocty' here; accepted: potential"),
        ("minimize fire 1e-5 1000", "there is no keyword 'minimize'"),
        ("velocity", "a value is missing; accepted: velocity T [seed S]"),
        ("velocity warm", "'warm' is not a number"),
        ("velocity -1", "-1 should be at least 0"),
        ("velocity 300 seed x", "'x' is not a whole number"),
        ("velocity 300 7", "'7' is too much"),
        ("velocity nan", "nan should be"),
        ("time_step 0", "0 should be greater than 0"),
        ("ensemble nvt_nhc 300 300 100", "there is no ensemble 'nvt_nhc' here; accepted: ensemble nve"),
        ("ensemble nvt_bdp 300 300", "a value is missing"),
        ("ensemble nvt_bdp 300 300 0.5", "0.5 should be at least 1"),
        ("ensemble nvt_bdp 0 300 100", "0 should be greater than 0"),
        ("ensemble npt_scr 300 300 100 0 50", "5 numbers where 6, 10 or 16"),
        ("ensemble npt_scr 300 300 100 0 -50 1000", "-50 should be greater than 0"),
        ("correct_velocity 5", "5 should be at least 10"),
        ("dump_thermo 0", "0 should be at least 1"),
        ("dump_thermo 1.5", "'1.5' is not a whole number"),
        ("dump_exyz 10 2", "'2' should be 0 or 1"),
        ("dump_xyz 10 a.xyz colour", "there is no property 'colour'"),
        ("dump_xyz 10 a.xyz precision half", "precision 'half'"),
        ("dump_xyz 0 a.xyz", "0 should be at least 1"),
        ("dump_netcdf 10 a.nc charge", "'charge' is not known"),
        ("active 10 0 1 0.3", "4 values where 5 are expected"),
        ("active 10 0 1 3 0.3", "'3' should be 0 or 1"),
        ("compute_msd 10 100 group 0 0 all_groups 0", "exclude each other"),
        ("compute_msd 10 100 loop", "'loop' is not known"),
        ("replicate 2 2", "a value is missing"),
        ("dump_xyz -1 0 10 a.xyz group_labels", "'group_labels' is called 'group'"),
        ("run", "a value is missing"),
        ("run 10 20", "'20' is too much"),
    ],
)
def test_errors_name_the_line(line, words):
    with pytest.raises(InputError, match=r"^run\.in, line 3: ") as caught:
        parse_run_in(f"potential nep.txt\n\n{line}\nrun 10\n")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


HEXAGONAL = np.array([[6.3, 0, 0], [-3.15, 5.456, 0], [0, 0, 11.8]])


def test_hydrostatic_form_follows_the_cell():
    heat = NvtBdp(300.0, 400.0, 100.0)
    assert NptScr.hydrostatic(HEXAGONAL, 0.1, 50.0, heat).line(OLD) == (
        "ensemble npt_scr 300 400 100 0.1 0.1 0.1 0 0 0 50 50 50 50 50 50 1000"
    )
    box = np.diag([5.0, 6.0, 7.0])
    assert NptScr.hydrostatic(box, 0.1, 50.0, heat, 500.0).line(OLD) == (
        "ensemble npt_scr 300 400 100 0.1 0.1 0.1 50 50 50 500"
    )
    assert NptScr.hydrostatic(box, 0.1, 50.0, heat, shape="isotropic").line(OLD) == (
        "ensemble npt_scr 300 400 100 0.1 50 1000"
    )
    with pytest.raises(InputError, match="not"):
        NptScr.hydrostatic(HEXAGONAL, 0.1, 50.0, heat, shape="isotropic")


def two_atoms(cell=None, groups=None, **more):
    cell = np.eye(3) * 10 if cell is None else cell
    pbc = more.pop("pbc", np.ones(3, dtype=bool))
    return ModelXyz(("Li", "Cl"), cell, np.array([[0.0, 0, 0], [2.5, 0, 0]]), pbc, groups=groups, **more)


BASE = "potential a.txt\nvelocity 300\nensemble nve\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no run line"),
        ("velocity 300\nensemble nve\nrun 1", "line 3: run needs a potential"),
        ("potential a.txt\nvelocity 300\nrun 1", "line 3: run needs an ensemble"),
        (BASE + "run 1\nrun 1", "line 5: run needs an ensemble"),
        ("potential a.txt\nensemble nve\nrun 1", "line 3: the atoms have no velocities"),
        (BASE + "run 1\ndump_thermo 10", "line 5: nothing comes of this line"),
        (BASE + "active 10 0 0 0 0.3\nrun 1", "line 4: active compares potentials"),
        ("potential a.txt\nreplicate 2 2 2\nrun 1", "line 2: replicate should stand before potential"),
        ("velocity 300\nreplicate 2 2 2\nrun 1", "line 2: replicate should stand before velocity"),
        (BASE + "compute_msd 3 4\nrun 11", "line 5: compute_msd 3 4 needs a run of at least 12 steps, 11 are asked"),
        (BASE + "dump_xyz 10 a.xyz virial\nrun 1", "line 4: lizrcl-gpumd does not write the virial"),
        (BASE + "dump_xyz 10 a.xyz\ndump_xyz 20 a.xyz\nrun 1", "line 5: a.xyz is already written"),
        (BASE + "velocity 1 seed 1\nvelocity 2 seed 2\nrun 1", "line 5: seed 2 after seed 1"),
        (BASE + "fix 0\nrun 1", "line 4: grouping method 0 is not in model.xyz"),
        (BASE + "compute_msd 1 10 all_groups 0\nrun 1", "line 4: grouping method 0 is not"),
    ],
)
def test_plans_that_make_no_sense(text, words):
    with pytest.raises(InputError) as caught:
        make_plan(parse_run_in(text), two_atoms())
    assert words in str(caught.value)


def test_velocities_of_a_replicated_model_need_a_velocity_line():
    model = two_atoms(velocities=np.full((2, 3), 0.01))
    text = "replicate 2 1 1\npotential a.txt\n{}ensemble nve\nrun 1"
    with pytest.raises(InputError, match=r"line 4: after replicate, GPUMD takes up the velocities"):
        make_plan(parse_run_in(text.format("")), model)
    plan = make_plan(parse_run_in(text.format("velocity 300\n")), model)
    assert plan.stages[0].velocity is None
    np.testing.assert_array_equal(plan.model.velocities, np.full((4, 3), 0.01))


@pytest.mark.parametrize("form", ["0 50 1000", "0 0 0 50 50 50 1000"])
def test_npt_scr_refuses_a_cell_that_is_not_orthogonal(form):
    text = BASE + f"ensemble npt_scr 300 300 100 {form}\nrun 1"
    with pytest.raises(InputError, match=r"line 4: this form of npt_scr .* six pressures"):
        make_plan(parse_run_in(text), two_atoms(HEXAGONAL))
    make_plan(parse_run_in(text), two_atoms())
    with pytest.raises(InputError, match="line 4: npt_scr needs a cell that is periodic"):
        make_plan(parse_run_in(text), two_atoms(pbc=np.array([True, True, False])))


def test_npt_scr_and_fix_exclude_each_other():
    text = BASE + "ensemble npt_scr 300 300 100 0 50 1000\nfix 0\nrun 1"
    with pytest.raises(InputError, match="fix does not go with npt_scr"):
        make_plan(parse_run_in(text), two_atoms(groups=np.array([[0], [1]])))


def test_plan_keeps_what_propagates():
    """The time step stays in force; everything else belongs to one run."""
    text = BASE + "time_step 2\ndump_thermo 5\nrun 10\nensemble nvt_bdp 300 500 100\nrun 20"
    first, second = make_plan(parse_run_in(text), two_atoms()).stages
    assert first.time_step.step_fs == second.time_step.step_fs == 2.0
    assert first.outputs == (DumpThermo(5),)
    assert second.outputs == ()
    assert second.velocity is None
    assert second.hottest_k == 500.0


def test_velocities_of_the_model_come_first():
    text = "potential a.txt\nvelocity 300 seed 7\nensemble nve\nrun 1"
    plan = make_plan(parse_run_in(text), two_atoms(velocities=np.ones((2, 3))))
    assert plan.stages[0].velocity is None
    assert plan.velocity_seed == 7


def test_groups_must_exist():
    model = two_atoms(groups=np.array([[0], [1]]))
    make_plan(parse_run_in(BASE + "fix 1\nrun 1"), model)
    with pytest.raises(InputError, match=r"no atom of model\.xyz is in group 2"):
        make_plan(parse_run_in(BASE + "fix 2\nrun 1"), model)
