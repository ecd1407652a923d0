"""Zero-shot tasks and held-out losses of a split model, measured as one system.

`prepare` makes local items, `harness` is the interface to `lm-eval`, `scoring` computes token
log-likelihoods, `routing` weights the specialists, `systems` combines them, `measuring` measures
them on items and documents, `routes` by the characters that the router reads, `tables` makes rows
of the results, `page` a page, and `run` does all of this for the final models.
"""
