import numpy as np
import pytest

from splitlaw.common.errors import UserError
from splitlaw.training.evaluation import DocumentLosses
from splitlaw.zero_shot.documents import HeldOut, MixedDocuments, system_losses
from splitlaw.zero_shot.routing import open_weights
from splitlaw.zero_shot.scoring import pack
from splitlaw.zero_shot.systems import ENSEMBLE, ORACLE, ROUTED, mixed, systems

VALUES = np.log([[0.5, 0.1, 0.9, 0.2], [0.25, 0.7, 0.1, 0.4]])
OWNER = np.array([0, 0, 1, 1])
GOLD = np.stack([VALUES[:, :2].sum(1), VALUES[:, 2:].sum(1)]).T


def test_routing_selects_by_weight_and_the_oracle_by_likelihood():
    weights = np.array([[0.9, 0.1], [0.4, 0.6]])
    found = systems(VALUES, weights=weights, gold=GOLD, owner=OWNER)
    assert np.exp(found[ROUTED]) == pytest.approx([0.5, 0.1, 0.1, 0.4])
    assert np.exp(found[ORACLE]) == pytest.approx([0.25, 0.7, 0.9, 0.2])
    assert np.exp(found[ENSEMBLE]) == pytest.approx([0.475, 0.16, 0.42, 0.32])


def test_an_ensemble_of_one_specialist_is_that_specialist():
    weights = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert mixed(VALUES, weights, OWNER) == pytest.approx([*VALUES[0, :2], *VALUES[1, 2:]])


def test_documents_with_several_specialists_are_mixed_token_by_token():
    tokens = np.array([3.0, 2.0])
    losses = [
        DocumentLosses(nats=np.array(nats), tokens=tokens, bytes=2 * tokens)
        for nats in ([1.0, -VALUES[0, 2:].sum()], [9.0, -VALUES[1, 2:].sum()])
    ]
    several = MixedDocuments(
        documents=np.array([1]), packed=pack([([0], [1, 2])], context=4), owner=np.array([0, 0])
    )
    weights = np.array([[1.0, 0.0], [0.25, 0.75]])
    held = HeldOut(domain="law", texts=["a", "b"], tokens=tokens, weights=weights, mixed=several)
    found = system_losses(held, losses, VALUES[:, 2:])
    assert found[ROUTED].nats == pytest.approx([1.0, -np.log(0.04)])
    assert found[ORACLE].nats == pytest.approx([1.0, -np.log(0.18)])
    assert found[ENSEMBLE].nats == pytest.approx([1.0, -np.log(0.3) - np.log(0.35)])


def test_weights_follow_the_order_of_the_specialists(experiment):
    texts = ["law1 law2 law3 law4 law5", "medicine1 medicine2 medicine3 medicine4"]
    for domains in (["law", "medicine"], ["medicine", "law"]):
        weights = open_weights(experiment / "corpus/router", experiment / "corpus", domains)
        assert [domains[i] for i in weights.of(texts).argmax(1)] == ["law", "medicine"]
        assert weights.of(texts).sum(1) == pytest.approx(1)


def test_one_specialist_requires_no_router(experiment, tmp_path):
    weights = open_weights(tmp_path, experiment / "corpus", ["law"])
    assert weights.of(["a", "b"]).tolist() == [[1.0], [1.0]]


def test_a_router_of_other_domains_is_refused(experiment):
    with pytest.raises(
        UserError, match="routes to law, medicine, but the final models are for law"
    ):
        open_weights(experiment / "corpus/router", experiment / "corpus", ["law", "x"])
