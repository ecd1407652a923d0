"""Columns of the tables that the workflow writes, and the values of two of them."""

LOSS_COLUMNS = ["loss", "loss_stderr", "bits_per_byte"]
"""Columns of a measured loss, in every table that has one."""

LOSSES = (
    """run stage split size params non_embedding_params flops_per_token train_domain domain
pretrain_tokens unique_pretrain_tokens specialize_tokens unique_specialize_tokens trunk
seed""".split()
    + LOSS_COLUMNS
)
"""`losses.csv`: one row per cooled-down grid model and evaluated domain."""
REPLAY = ["replay", "replay_tokens"]
"""Further columns of `losses.csv`, where a grid has branches with replay or a base."""
COMPARISON = (
    """strategy seed size budget domain params flops pretrain_tokens specialize_tokens
predicted_loss""".split()
    + LOSS_COLUMNS
    + ["replay", "general_loss"]
)
"""`comparison.csv`: one row per strategy, seed and domain."""
SCARCITY = (
    """unique_tokens size budget seed strategy fraction_general domain params pretrain_tokens
specialize_tokens predicted_loss""".split()
    + LOSS_COLUMNS
)
"""`scarcity.csv`: one row per recipe or fraction, seed and domain; unique tokens are empty where
the text is not limited, and the strategy at the fractions of a frontier."""
SCARCITY_REGRET = """unique_tokens size budget general_share share_low share_high passes unspent
predicted_loss loss prediction_error best_share best_loss regret_relative inside""".split()
"""`regret.csv` of `scarcity`: one row per plan. Shares are those of general tokens in the budget,
with the plan's 90% interval; the last four columns are empty where no frontier is trained."""
FRONTIER = (
    """size budget seed fraction_general domain pretrain_tokens specialize_tokens
predicted_loss""".split()
    + LOSS_COLUMNS
)
"""`frontier.csv`: one row per general fraction, seed and domain."""
FRONTIER_REPLAY = ["replay", "general_loss"]
"""Further columns of `frontier.csv`, where the plan has shares of replay."""
COST = "stage size runs tokens flops tokens_independent flops_independent".split()
"""`cost.csv`: one row per stage and size."""
NEXT_RUNS = """batch size params seed domain pretrain_tokens specialize_tokens flops
expected_regret_before expected_regret_after""".split()
"""`next_runs.csv`: one row per proposed run, in the order of the choice."""
BENCHMARKS = "strategy system size budget seed task metric value stderr n chance".split()
"""`benchmarks.csv`: one row per system, task and metric."""
BENCHMARK_GAINS = (
    "strategy system against size budget seed task metric difference stderr low high n verdict"
).split()
"""`benchmark_gains.csv`: one row per system, task, metric and single model to compare with.

`against` is the strategy of that model: `no_split` or `joint`."""
ROUTES = """strategy size budget seed text characters accuracy loss loss_stderr own_loss excess
excess_stderr over_no_split over_no_split_stderr over_joint over_joint_stderr n""".split()
"""`benchmark_routes.csv`: one row per recipe with several models, held-out text and number of
characters that the router reads.

`excess` is the loss that wrong routes cause: `loss`, of routed documents, minus `own_loss`, with
the specialist of each document's own domain. `over_no_split` and `over_joint` are the losses of
these single models minus `loss`."""
GAINS = """size params budget flops fraction_general seeds system against task metric gain stderr
low high seed_spread predicted predicted_low predicted_high multiplier multiplier_low
multiplier_high verdict""".split()
"""`compare/gains.csv`: one row per size, budget, system, strategy, task and metric.

`multiplier`: how many times the FLOPs the strategy needs for the measured gain, under the law;
`inf` where no budget up to 1,000 times suffices."""
DOMAINS = """k merged predicted_loss predicted_low predicted_high trained_loss no_split_loss
fraction_general pretrain_tokens branch_tokens clusters""".split()
"""`choose_domains.csv`: one row per number of domains, `k`, and per merger of two of them."""
LOSS_TO_TASK = """task metric models sizes value chance at_chance intercept slope slope_low
slope_high residual left_out left_out_models left_out_error left_out_bias left_out_inside""".split()
"""`loss_to_task.csv`: one row per task and metric, a line in the held-out loss.

`left_out`: the size with the lowest losses, predicted by the line through the other sizes."""
DELIVERY = (
    "system strategy size budget seed domain".split()
    + LOSS_COLUMNS
    + "params_stored params_active tokens_per_second generated_per_second memory_mb".split()
)
"""`delivery/comparison.csv`: one row per system and domain.

`domain` is also `mixed`, for documents of two domains, and `all_tasks`, for the mean over the
zero-shot tasks, which has bits per byte only."""
LEARNING_RATES = "size params learning_rate tokens loss loss_stderr".split()
"""`rates.csv`: one row per size and peak learning rate."""
TRAIN_LOG = "step tokens domain learning_rate loss gradient_norm".split()
"""`train_log.csv`: one row per logged step."""

UNSPLIT, BRANCH = "unsplit", "branch"
"""Values of `stage` in `losses.csv`: unsplit runs, and branches of a trunk."""
FIT, HOLDOUT = "fit", "holdout"
"""Values of `split` in `losses.csv`: rows that the law is fitted to, and rows that test it."""
