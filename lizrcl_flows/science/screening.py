"""Which explored frames are candidates for a label, and why the others are not.

The order of the filters is the order of trust: a frame that the committee knows is accurate; one that it knows nothing
of is unphysical; one with atoms inside each other is no structure; one that repeats its neighbour in time or a
structure already at hand teaches nothing.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lizrcl_flows.documents import Offence, RejectionCount
from lizrcl_flows.documents.arrays import Array
from lizrcl_flows.documents.spec import ScreeningSpec
from lizrcl_flows.science.geometry import keep_decorrelated


@dataclass(frozen=True)
class Judged:
    """One explored frame with the committee's opinion.

    Attributes
    ----------
    run, frame
        Which run it comes from and which frame of it, both from zero.
    eps
        Largest deviation of an atom's force over the committee (eV/A).
    """

    run: int
    frame: int
    time_fs: float
    eps: float
    structure_id: str
    reason: str = ""
    offence: Offence | None = None


def lower_threshold(eps: Array, spec: ScreeningSpec) -> float:
    """Return the deviation (eV/A) from which on a frame is doubtful.

    Mode `fixed`: eps_lo of the campaign file. Mode `adaptive`: of the frames that eps_hi does not reject, the share
    `candidate_rate`, and `n_candidates_min` at least, are doubtful; where eps_lo would leave fewer, the threshold is
    the eps of the last of them, so that frames of equal eps are on the same side. After the adaptive lower trust level
    of DP-GEN (Y. Zhang et al., Comput. Phys. Commun. 253, 107206 (2020)); unlike there, it never rises above eps_lo.

    Parameters
    ----------
    eps
        Committee deviation of each explored frame (eV/A), shape (n,); what is not finite counts as above eps_hi.
    spec
        Mode, rates and thresholds.
    """
    if spec.mode == "fixed":
        return spec.eps_lo
    below = np.sort(eps[np.isfinite(eps) & (eps <= spec.eps_hi)])[::-1]
    if below.size == 0:
        return spec.eps_lo
    # a product such as 0.07 * 100 is a hair above the whole number that is meant
    wanted = max(int(np.ceil(spec.candidate_rate * below.size - 1e-9)), spec.n_candidates_min)
    return min(spec.eps_lo, float(below[min(wanted, below.size) - 1]))


def screen_frames(
    frames: Sequence[Judged],
    spec: ScreeningSpec,
    known_structures: set[str],
    contact: Callable[[Judged], Offence | None],
    eps_lo: float | None = None,
) -> tuple[list[Judged], int]:
    """Split explored frames into accurate ones, rejected ones and candidates.

    Parameters
    ----------
    frames
        In the order in which they were explored; only doubtful ones need a `structure_id`.
    known_structures
        Ids of structures that already have a label, or are waiting for one.
    contact
        Returns the shortest contact of a frame below the geometry rule, or None. Called only where it matters.
    eps_lo
        What `lower_threshold` returned (eV/A); that of the campaign file where absent.

    Returns
    -------
    doubtful
        Every frame with eps >= eps_lo, in order; a candidate has an empty `reason`.
    n_accurate
        Number of frames with eps < eps_lo.
    """
    threshold = spec.eps_lo if eps_lo is None else eps_lo
    doubtful = [frame for frame in frames if not frame.eps < threshold]
    judged = [_physical(frame, spec, contact) for frame in doubtful]
    judged = _decorrelate(judged, spec.decorrelation_fs)
    judged = _distinct(judged, known_structures)
    return judged, len(frames) - len(doubtful)


def count_rejections(frames: Sequence[Judged]) -> tuple[RejectionCount, ...]:
    """Return how many frames each reason removed, the most frequent first."""
    counts = Counter(frame.reason for frame in frames if frame.reason)
    return tuple(RejectionCount(reason=reason, count=count) for reason, count in counts.most_common())


def screening_note(n_frames: int, doubtful: Sequence[Judged], spec: ScreeningSpec, eps_lo: float) -> str:
    """Say in words where the thresholds select nothing or everything, or were moved; empty where they do their work.

    Parameters
    ----------
    n_frames
        Explored frames.
    doubtful
        What `screen_frames` returned.
    eps_lo
        The lower threshold that was used (eV/A).
    """
    if n_frames == 0:
        return "no frame was explored"
    said = []
    if eps_lo < spec.eps_lo:
        said.append(f"eps_lo was lowered from {spec.eps_lo:g} to {eps_lo:.3g} eV/A for enough candidates")
    counts = count_rejections(doubtful)
    if not doubtful:
        said.append(f"all {n_frames} explored frames have eps < {eps_lo:.3g} eV/A: there is nothing to label")
    elif all(frame.reason for frame in doubtful):
        told = ", ".join(f"{count.count} {count.reason}" for count in counts)
        said.append(f"none of the {len(doubtful)} frames with eps >= {eps_lo:.3g} eV/A is a candidate: {told}")
    if n_frames == len(doubtful) and not (spec.mode == "adaptive" and eps_lo < spec.eps_lo):
        said.append(
            f"all {n_frames} explored frames have eps >= {eps_lo:.3g} eV/A: the committee knows none of them, or the "
            "threshold is too low to tell"
        )
    return "; ".join(said)


def _physical(frame: Judged, spec: ScreeningSpec, contact: Callable[[Judged], Offence | None]) -> Judged:
    if not np.isfinite(frame.eps) or frame.eps > spec.eps_hi:
        value = frame.eps if np.isfinite(frame.eps) else float("inf")
        offence = Offence(quantity="eps_ev_per_a", value=value, threshold=spec.eps_hi)
        return replace(frame, reason="eps above eps_hi", offence=offence)
    offence_or_none = contact(frame)
    if offence_or_none is not None:
        return replace(frame, reason="atoms too close", offence=offence_or_none)
    return frame


def _decorrelate(frames: Sequence[Judged], separation_fs: float) -> list[Judged]:
    """Keep the most uncertain frames of each run that are at least `separation_fs` apart."""
    result = list(frames)
    for run in sorted({frame.run for frame in frames}):
        members = [i for i, frame in enumerate(frames) if frame.run == run and not frame.reason]
        times = np.array([frames[i].time_fs for i in members])
        kept = keep_decorrelated(times, np.array([frames[i].eps for i in members]), separation_fs)
        for i, keep in zip(members, kept, strict=True):
            if not keep:
                nearest = float(np.abs(times[kept] - frames[i].time_fs).min())
                offence = Offence(quantity="separation_fs", value=nearest, threshold=separation_fs)
                result[i] = replace(frames[i], reason="too close in time", offence=offence)
    return result


def _distinct(frames: Sequence[Judged], known: set[str]) -> list[Judged]:
    seen = set(known)
    result = []
    for frame in frames:
        if not frame.reason and frame.structure_id in seen:
            result.append(replace(frame, reason="structure already known"))
            continue
        if not frame.reason:
            seen.add(frame.structure_id)
        result.append(frame)
    return result


def eps_statistics(eps: Array) -> tuple[float | None, float | None]:
    """Return the largest and the median finite eps (eV/A) of all explored frames; None where there is none."""
    finite = eps[np.isfinite(eps)]
    if finite.size == 0:
        return None, None
    return float(finite.max()), float(np.median(finite))
