"""The text that a training reads: token files by domain, mixtures of domains, and their digests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from splitlaw.common.files import digest, read_json


@dataclass(frozen=True, kw_only=True)
class TrainingText:
    """The token files of several domains, and the streams that mix them."""

    sidecars: Mapping[str, Path]
    """`tokens.json` by domain."""
    mixtures: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Weight of each domain in the streams that mix several, by the name of the stream."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """Tokens of a domain's text that the mixtures read, where these are not all."""

    def digests(self) -> dict[str, str]:
        """Digest of the training tokens of every stream, by domain or by the name of a mixture."""
        data = {domain: _fingerprint(sidecar) for domain, sidecar in self.sidecars.items()}
        mixed = {
            name: _mixture_digest(weights, data, self.limits)
            for name, weights in self.mixtures.items()
        }
        return data | mixed


def _fingerprint(sidecar: Path) -> str:
    """SHA-256 of the training tokens that `sidecar` describes."""
    return str(read_json(sidecar)["splits"]["train"]["sha256"])


def _mixture_digest(
    weights: Mapping[str, int], data: Mapping[str, str], limits: Mapping[str, int]
) -> str:
    """Digest of the weight, the text and the limit of each domain of a mixture."""
    parts = {domain: [weight, data[domain]] for domain, weight in weights.items()}
    return digest({d: [*part, limits[d]] if d in limits else part for d, part in parts.items()})
