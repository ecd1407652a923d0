"""The benchmark stage: zero-shot tasks and held-out losses of a split model as one system.

`items` makes local items, `router` picks specialists, `harness` is the door to `lm-eval`,
`scoring` computes token log-likelihoods, `systems` combines them, `tables` writes what came out.
"""
