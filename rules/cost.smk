# What an experiment will cost, told before anything is submitted: snakemake cost


rule calibrate:
    output:
        pace=CALIBRATION,
    log:
        f"{RESULTS}/logs/calibrate.log",
    benchmark:
        f"{RESULTS}/logs/calibrate.tsv"
    params:
        config=cost_config,
    threads: ranks
    resources:
        cpus_per_task=cpus,
        gpu=gpu,
        gres=gres,
        mem_mb=largest_memory,
        runtime=15,
        slurm_partition=partition,
    conda:
        "../envs/train.yaml"
    shell:
        "python workflow_scripts/calibrate.py --config {params.config:q} --out {output.pace}"
        " 2> {log}"


# Without an output, so that it answers whenever it is asked.
rule cost:
    input:
        pace=calibration,
    log:
        f"{RESULTS}/logs/cost.log",
    params:
        config=cost_config,
        plan=f"{RESULTS}/split/plan.json",
        device="--gpu" if on_gpu() else "",
        table=f"{RESULTS}/forecast.csv",
    threads: 1
    conda:
        "../envs/law.yaml"
    localrule: True
    shell:
        "python workflow_scripts/cost.py --config {params.config:q} --calibration {input.pace}"
        " --plan {params.plan} {params.device} --out {params.table} > {log} 2>&1"
