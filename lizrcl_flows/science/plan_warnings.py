"""What is wrong with a campaign file although every value of it is accepted: parts that contradict each other."""

from collections.abc import Iterator

from lizrcl_flows.documents.spec import CampaignSpec, QuotaSpec

TOO_MANY_FRAMES = 1.0
"""Share of the frames from which on an adaptive threshold calls nearly everything doubtful."""


def contradictions(spec: CampaignSpec) -> list[str]:
    """Return what contradicts itself in a campaign file, one sentence each; an empty list where nothing does."""
    checks = (_budget, _thresholds, _quotas, _convergence)
    return [sentence for check in checks for sentence in check(spec)]


def _budget(spec: CampaignSpec) -> Iterator[str]:
    first = spec.initial.n_structures + spec.initial.n_holdout
    labels, each = spec.budget.labels, spec.budget.labels_per_generation
    if labels is not None and labels < spec.labelling.batch_size:
        yield (
            f"budget.labels {labels} is less than one batch of labels "
            f"(labelling.batch_size {spec.labelling.batch_size})"
        )
    if labels is not None and labels <= first:
        yield (
            f"budget.labels {labels} is spent by generation 0, which asks for {spec.initial.n_structures} labels to "
            f"train on and {spec.initial.n_holdout} to hold out: nothing is explored"
        )
    if each is not None and each < spec.labelling.batch_size:
        yield (
            f"budget.labels_per_generation {each} is less than one batch of labels "
            f"(labelling.batch_size {spec.labelling.batch_size})"
        )
    if each is not None and each < spec.selection.n_structures:
        yield (
            f"budget.labels_per_generation {each} is less than selection.n_structures {spec.selection.n_structures}: "
            "a generation labels as the budget says"
        )
    if not spec.initial.n_holdout:
        yield "initial.n_holdout 0: there is no hold-out set, so no error of a committee is known but on fresh labels"


def _thresholds(spec: CampaignSpec) -> Iterator[str]:
    screening, exploration = spec.screening, spec.exploration
    if screening.eps_lo <= 0:
        yield f"screening.eps_lo {screening.eps_lo:g} eV/A: every frame is doubtful, so nothing ever converges"
    interval = exploration.active_every or exploration.sample_every
    frames = exploration.steps // interval
    if not frames:
        yield f"exploration: {exploration.steps} steps are less than the {interval} between two frames: none is judged"
    length_fs = exploration.steps * exploration.time_step_fs
    if screening.decorrelation_fs > length_fs:
        yield (
            f"screening.decorrelation_fs {screening.decorrelation_fs:g} fs is longer than a run of {length_fs:g} fs: "
            "one candidate of each run at most"
        )
    of_phases = len(spec.interface_names()) + sum(phase.explored for phase in spec.phases)
    n_frames = frames * exploration.runs_per_phase * of_phases
    if screening.mode == "adaptive" and 0 < n_frames < screening.n_candidates_min:
        yield (
            f"screening.n_candidates_min {screening.n_candidates_min} is more than the {n_frames} frames of a "
            "generation: all of them are doubtful"
        )
    if screening.mode == "adaptive" and screening.candidate_rate >= TOO_MANY_FRAMES:
        yield f"screening.candidate_rate {screening.candidate_rate:g}: all frames are doubtful, so nothing converges"
    if n_frames and spec.selection.n_structures > n_frames:
        yield (
            f"selection.n_structures {spec.selection.n_structures} is more than the {n_frames} frames of a generation"
        )


def _quotas(spec: CampaignSpec) -> Iterator[str]:
    names = [phase.name for phase in spec.phases if phase.explored]
    names += [*spec.interface_names(), *(pair.title for pair in spec.interfaces)]
    regions = {phase.region for phase in spec.phases if phase.explored} | ({"interface"} if spec.interfaces else set())
    temperatures = sorted(condition.temperature_k for condition in spec.exploration.conditions)
    for number, quota in enumerate(spec.selection.quotas):
        place = f"selection.quotas.{number}"
        if quota.phase is not None and quota.phase not in names:
            yield f"{place}: phase '{quota.phase}' is not explored; explored are {', '.join(dict.fromkeys(names))}"
        if quota.region is not None and quota.region not in regions:
            yield f"{place}: no explored phase is of region '{quota.region}'"
        if not any(_within(quota, temperature) for temperature in temperatures):
            yield f"{place}: no condition of exploration lies in its range of temperatures ({_words(temperatures)} do)"
    kinds: dict[str, float] = {}
    for quota in spec.selection.quotas:
        kind = "phase" if quota.phase is not None else "region" if quota.region is not None else "temperature"
        kinds[kind] = kinds.get(kind, 0.0) + quota.min_share
    for kind, share in kinds.items():
        if share > 1 + 1e-9:
            yield f"selection.quotas: the least shares by {kind} add up to {share:g}, more than all labels"


def _within(quota: QuotaSpec, temperature_k: float) -> bool:
    low, high = quota.temperature_min_k, quota.temperature_max_k
    return (low is None or temperature_k >= low) and (high is None or temperature_k <= high)


def _words(temperatures: list[float]) -> str:
    return f"{temperatures[0]:g} to {temperatures[-1]:g} K"


def _convergence(spec: CampaignSpec) -> Iterator[str]:
    target = spec.convergence
    if target.temperature_min_k > target.temperature_max_k:
        yield (
            f"convergence.temperature_min_k {target.temperature_min_k:g} is above temperature_max_k "
            f"{target.temperature_max_k:g}: nothing converges"
        )
    elif not any(
        target.temperature_min_k <= condition.temperature_k <= target.temperature_max_k
        and (condition.ensemble == "nvt" or abs(condition.pressure_gpa) <= target.pressure_max_gpa)
        for condition in spec.exploration.conditions
    ):
        yield (
            f"convergence: no condition of exploration lies within {target.temperature_min_k:g} to "
            f"{target.temperature_max_k:g} K and up to {target.pressure_max_gpa:g} GPa, so nothing converges"
        )
    if spec.max_generations < target.n_generations:
        yield (
            f"max_generations {spec.max_generations} is less than convergence.n_generations {target.n_generations}: "
            "the campaign cannot converge"
        )
    if target.gates and not spec.initial.n_holdout and not spec.validation.energy_volume and not spec.validation.hops:
        yield "convergence.gates: there is no gate to pass without a hold-out set, energy-volume curves and hops"
