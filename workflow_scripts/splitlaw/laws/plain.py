"""Forms without a discrepancy, in the user's scale."""

from __future__ import annotations

import numpy as np

from splitlaw.laws.kernel import Features, Kernel
from splitlaw.laws.mean import Mean
from splitlaw.laws.member import Member
from splitlaw.laws.points import Array, Units
from splitlaw.laws.rows import Frame


def plain_frame(stages: int) -> Frame:
    """The frame of a law in the user's scale."""
    return Frame(
        units=Units(),
        stages=stages,
        tau_pretrain=1.0,
        tau_specialize=1.0,
        repeats=(False, False),
        unsplit=False,
        centre=np.zeros(3 if stages == 2 else 2),
    )


def plain_member(mean: Mean, vector: Array, vectors: Array, *, row_sd: float = 0.0) -> Member:
    """A form without a discrepancy, with draws of its parameters."""
    dimensions, nothing = len(mean.frame.centre), np.zeros(0)
    features = Features(
        frequency=np.zeros((0, dimensions)),
        phase=nothing,
        unsplit_frequency=np.zeros((0, 2)),
        unsplit_phase=nothing,
    )
    return Member(
        mean=mean,
        weight=1.0,
        vector=vector,
        vectors=vectors,
        kernel=Kernel(amplitude=0.0, lengths=np.ones(dimensions), slope=0.0),
        features=features,
        sites=np.zeros((0, dimensions)),
        zero=nothing,
        weights=np.zeros((mean.domains, 0)),
        drawn=np.zeros((len(vectors), mean.domains, 0)),
        trunk_sd=0.0,
        row_sd=row_sd,
        unsplit_row_sd=row_sd,
    )
