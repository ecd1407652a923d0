# The plan and the baselines on less and less domain text. Training that they share with other final
# models is done once.


use rule choose_split as choose_split_scarce with:
    output:
        plan=f"{SCARCE_CELL}/plan.json",
    log:
        f"{RESULTS}/logs/scarcity/{{unique}}-{{size}}-{{budget}}-plan.log",
    benchmark:
        f"{RESULTS}/logs/scarcity/{{unique}}-{{size}}-{{budget}}-plan.tsv"


use rule final_trunk as scarce_trunk with:
    output:
        run=f"{SCARCE}/trunk.json",
    log:
        f"{RESULTS}/logs/scarcity/{{unique}}-{{size}}-{{budget}}-seed{{seed}}-trunk.log",
    benchmark:
        f"{RESULTS}/logs/scarcity/{{unique}}-{{size}}-{{budget}}-seed{{seed}}-trunk.tsv"


use rule final_trunk_of_domain as scarce_trunk_of_domain with:
    output:
        run=f"{SCARCE}/trunks/{{domain}}.json",
    log:
        f"{RESULTS}/logs/scarcity/{{unique}}-{{size}}-{{budget}}-seed{{seed}}-trunk-{{domain}}.log",
    benchmark:
        f"{RESULTS}/logs/scarcity/{{unique}}-{{size}}-{{budget}}-seed{{seed}}-trunk-{{domain}}.tsv"


use rule final_strategy as scarce_strategy with:
    output:
        losses=f"{SCARCE}/{{strategy}}/losses.csv",
    log:
        f"{RESULTS}/logs/scarcity/{{unique}}-{{size}}-{{budget}}-seed{{seed}}-{{strategy}}.log",
    benchmark:
        f"{RESULTS}/logs/scarcity/{{unique}}-{{size}}-{{budget}}-seed{{seed}}-{{strategy}}.tsv"


use rule frontier_seed as scarce_frontier_seed with:
    output:
        losses=f"{SCARCE}/frontier/losses.csv",
    log:
        f"{RESULTS}/logs/scarcity/{{unique}}-{{size}}-{{budget}}-seed{{seed}}-frontier.log",
    benchmark:
        f"{RESULTS}/logs/scarcity/{{unique}}-{{size}}-{{budget}}-seed{{seed}}-frontier.tsv"
    params:
        config=frontier_config,
        results=results_folder,
        fractions=list(EXPERIMENT.scarcity.fractions),
        even="--even",


SCARCE_CELLS = scarce("{unique}/{size}/{budget}", AMOUNTS)


rule scarcity:
    input:
        plans=scarce(rules.choose_split_scarce.output.plan, AMOUNTS),
        recipes=scarce(rules.scarce_strategy.output.losses, AMOUNTS, strategy=STRATEGIES),
        frontiers=scarce(rules.scarce_frontier_seed.output.losses, EXPERIMENT.scarcity.frontier),
        code=[f"{PACKAGE}/stages/scarcity.py", f"{PACKAGE}/report/scarcity.py"],
    output:
        table=f"{RESULTS}/scarcity/scarcity.csv",
        regret=f"{RESULTS}/scarcity/regret.csv",
        figure=f"{RESULTS}/scarcity/scarcity.svg",
        picture=f"{RESULTS}/scarcity/scarcity.png",
    log:
        f"{RESULTS}/logs/scarcity.log",
    benchmark:
        f"{RESULTS}/logs/scarcity.tsv"
    params:
        results=results_folder,
        cells=" ".join(SCARCE_CELLS),
        seeds=" ".join(map(str, EXPERIMENT.scarcity.seeds)),
    threads: 1
    conda:
        "../envs/train.yaml"
    shell:
        f"python {SCRIPTS}/scarcity.py"
        " --results {params.results} --cells {params.cells} --seeds {params.seeds}"
        " --out {output.table} > {log} 2>&1"
