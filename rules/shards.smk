# Preparation and encoding of the text in several jobs (corpus.shards). Files of a finished shard are
# kept until all jobs that read them have ended; a shard that failed is the only one to run again.


rule read_shard:
    output:
        store=temp(directory(f"{SHARDS_FOLDER}/read/{{shard}}")),
    log:
        f"{RESULTS}/logs/read_shard/{{shard}}.log",
    benchmark:
        f"{RESULTS}/logs/read_shard/{{shard}}.tsv"
    params:
        config=corpus_config,
        out=corpus_folder,
    threads: SHARD_CORES
    resources:
        step=step_options("read", SHARDS_FOLDER),
    conda:
        "../envs/train.yaml"
    shell:
        f"python {SCRIPTS}/prepare_corpus.py"
        " --config {params.config:q} --out {params.out} --workers {threads}"
        " {resources.step} --shard {wildcards.shard} 2> {log}"


rule merge_shards:
    input:
        stores=expand(rules.read_shard.output.store, shard=range(SHARDS)),
        code=package_code("corpus"),
    output:
        merged=temp(directory(f"{SHARDS_FOLDER}/merged")),
    log:
        f"{RESULTS}/logs/merge_shards.log",
    benchmark:
        f"{RESULTS}/logs/merge_shards.tsv"
    params:
        config=corpus_config,
        out=corpus_folder,
    threads: CORES
    resources:
        step=step_options("merge", SHARDS_FOLDER),
    conda:
        "../envs/train.yaml"
    shell:
        f"python {SCRIPTS}/prepare_corpus.py"
        " --config {params.config:q} --out {params.out} --workers {threads}"
        " {resources.step} 2> {log}"


rule write_shard:
    input:
        stores=rules.merge_shards.input.stores,
        merged=rules.merge_shards.output.merged,
    output:
        written=temp(f"{SHARDS_FOLDER}/written/{{shard}}.json"),
    log:
        f"{RESULTS}/logs/write_shard/{{shard}}.log",
    benchmark:
        f"{RESULTS}/logs/write_shard/{{shard}}.tsv"
    params:
        config=corpus_config,
        out=corpus_folder,
    threads: 1
    resources:
        step=step_options("write", SHARDS_FOLDER),
    conda:
        "../envs/train.yaml"
    shell:
        f"python {SCRIPTS}/prepare_corpus.py"
        " --config {params.config:q} --out {params.out}"
        " {resources.step} --shard {wildcards.shard} 2> {log}"


rule encode_shard:
    input:
        card=f"{RESULTS}/corpus/{GENERAL}/card.json",
        tokenizer=f"{RESULTS}/tokenizer/tokenizer.json",
        code=package_code("tokens"),
    output:
        encoded=temp(directory(f"{SHARDS_FOLDER}/tokens/{{shard}}")),
    log:
        f"{RESULTS}/logs/encode_shard/{{shard}}.log",
    benchmark:
        f"{RESULTS}/logs/encode_shard/{{shard}}.tsv"
    params:
        config=tokenizer_config,
        corpus=corpus_folder,
        tokenizer=tokenizer_folder,
        domain=GENERAL,
        out=f"{RESULTS}/tokens/{GENERAL}",
    threads: SHARD_CORES
    resources:
        step=step_options("encode", f"{SHARDS_FOLDER}/tokens"),
    conda:
        "../envs/train.yaml"
    shell:
        f"python {SCRIPTS}/tokenize_corpus.py"
        " --config {params.config:q}"
        " --corpus {params.corpus} --tokenizer {params.tokenizer} --domain {params.domain}"
        " --out {params.out} --workers {threads}"
        " {resources.step} --shard {wildcards.shard} 2> {log}"
