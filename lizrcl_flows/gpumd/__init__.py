"""GPUMD's file formats, and ``lizrcl-gpumd``, which runs the same files on any CPU.

Formats: `read_model_xyz` and `write_model_xyz` (also ``restart.xyz``), `read_run_in` and `write_run_in` (for a
`Release`), `read_thermo`, `read_active`, `read_msd`, `read_dump_xyz` (frame by frame; also ``active.xyz``).
The runner: `make_plan` and `lizrcl_flows.gpumd.simulation.simulate`, or the program.

Where ``lizrcl-gpumd`` differs from ``gpumd``, on purpose:

* a temperature counts 3 N - 3 velocity components (3 for each atom that moves where some are fixed), not 3 N, since the
  total momentum is zero: the motion inside a small cell then has the temperature that was asked for;
* ``correct_velocity`` gives the kinetic energy back that the removal of momentum takes;
* the seed of ``velocity`` (or ``--seed``) is that of the whole run, so equal input gives equal files;
* atoms without velocities and settings that no ``run`` follows are refused;
* ``health.json`` tells how the run went, and a run that blows up stops instead of writing on.
"""

from lizrcl_flows.gpumd.commands import (
    Active,
    Command,
    ComputeMsd,
    CorrectVelocity,
    DumpFrames,
    DumpNetcdf,
    DumpRestart,
    DumpThermo,
    Ensemble,
    Fix,
    NptScr,
    Nve,
    NvtBdp,
    Potential,
    Replicate,
    Run,
    TimeStep,
    Velocity,
)
from lizrcl_flows.gpumd.health import HEALTH_FILE
from lizrcl_flows.gpumd.masses import standard_mass
from lizrcl_flows.gpumd.model_xyz import ModelXyz, read_model_xyz, write_model_xyz
from lizrcl_flows.gpumd.plan import Plan, make_plan
from lizrcl_flows.gpumd.release import Release
from lizrcl_flows.gpumd.run_in import RunIn, parse_run_in, read_run_in, render_run_in, write_run_in
from lizrcl_flows.gpumd.tables import (
    MeanSquareDisplacement,
    Thermo,
    read_active,
    read_msd,
    read_thermo,
)
from lizrcl_flows.gpumd.trajectory import ModelPrediction, TrajectoryFrame, TrajectoryReader, read_dump_xyz

__all__ = [
    "HEALTH_FILE",
    "Active",
    "Command",
    "ComputeMsd",
    "CorrectVelocity",
    "DumpFrames",
    "DumpNetcdf",
    "DumpRestart",
    "DumpThermo",
    "Ensemble",
    "Fix",
    "MeanSquareDisplacement",
    "ModelPrediction",
    "ModelXyz",
    "NptScr",
    "Nve",
    "NvtBdp",
    "Plan",
    "Potential",
    "Release",
    "Replicate",
    "Run",
    "RunIn",
    "Thermo",
    "TimeStep",
    "TrajectoryFrame",
    "TrajectoryReader",
    "Velocity",
    "make_plan",
    "parse_run_in",
    "read_active",
    "read_dump_xyz",
    "read_model_xyz",
    "read_msd",
    "read_run_in",
    "read_thermo",
    "render_run_in",
    "standard_mass",
    "write_model_xyz",
    "write_run_in",
]
