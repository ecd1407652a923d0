# From sources of text to clean documents, a tokenizer and token files.

LOCAL_CORES = workflow.resource_settings.cores
CORES = LOCAL_CORES or 8  # all of this machine; 8 on a node of a cluster
SHARD_CORES = max(1, LOCAL_CORES // SHARDS) if LOCAL_CORES else CORES  # shards share this machine
if SHARDS > 1:

    include: "shards.smk"


rule prepare_corpus:
    input:
        merged=f"{SHARDS_FOLDER}/merged" if SHARDS > 1 else [],
        written=written_shards,
        code=package_code("corpus"),
    output:
        cards=expand(f"{RESULTS}/corpus/{{domain}}/card.json", domain=[GENERAL, *DOMAINS]),
        router=f"{RESULTS}/corpus/router/router.json" if len(DOMAINS) > 1 else [],
    log:
        f"{RESULTS}/logs/prepare_corpus.log",
    benchmark:
        f"{RESULTS}/logs/prepare_corpus.tsv"
    params:
        config=corpus_config,
        out=corpus_folder,
    threads: CORES
    resources:
        step=prepare_step,
        runs=4,  # one at a time in the job that the text rules share: each uses all of its CPUs
    conda:
        "../envs/train.yaml"
    group:
        text_group
    shell:
        f"python {SCRIPTS}/prepare_corpus.py"
        " --config {params.config:q} --out {params.out}"
        " --workers {threads} {resources.step}"
        " 2> {log}"


rule train_tokenizer:
    input:
        cards=rules.prepare_corpus.output.cards[0],
        code=package_code("tokens"),
    output:
        tokenizer=f"{RESULTS}/tokenizer/tokenizer.json",
    log:
        f"{RESULTS}/logs/train_tokenizer.log",
    benchmark:
        f"{RESULTS}/logs/train_tokenizer.tsv"
    params:
        config=tokenizer_config,
        corpus=corpus_folder,
        out=tokenizer_folder,
    threads: CORES
    resources:
        runs=4,  # one at a time in the job that the text rules share: each uses all of its CPUs
    conda:
        "../envs/train.yaml"
    group:
        text_group
    shell:
        f"python {SCRIPTS}/train_tokenizer.py"
        " --config {params.config:q}"
        " --corpus {params.corpus} --out {params.out} 2> {log}"


rule tokenize_domain:
    input:
        card=f"{RESULTS}/corpus/{{domain}}/card.json",
        tokenizer=rules.train_tokenizer.output.tokenizer,
        encoded=encoded_shards,
        code=package_code("tokens"),
    output:
        sidecar=f"{RESULTS}/tokens/{{domain}}/tokens.json",
    log:
        f"{RESULTS}/logs/tokenize/{{domain}}.log",
    benchmark:
        f"{RESULTS}/logs/tokenize/{{domain}}.tsv"
    params:
        config=tokenizer_config,
        corpus=corpus_folder,
        tokenizer=tokenizer_folder,
        out=tokens_folder,
    threads: CORES
    priority: 2  # before any training, so that a text that is too short for it is reported first
    resources:
        needed=required_tokens,
        step=join_step,
        runs=4,  # one at a time in the job that the text rules share: each uses all of its CPUs
    conda:
        "../envs/train.yaml"
    group:
        text_group
    shell:
        f"python {SCRIPTS}/tokenize_corpus.py"
        " --config {params.config:q}"
        " --corpus {params.corpus} --tokenizer {params.tokenizer} --domain {wildcards.domain}"
        " --out {params.out} --workers {threads} --needed {resources.needed} {resources.step}"
        " 2> {log}"


rule tokenize:
    input:
        sidecars=expand(rules.tokenize_domain.output.sidecar, domain=[GENERAL, *DOMAINS]),
