# The cost of an experiment, estimated before anything is submitted: snakemake cost


rule calibrate:
    output:
        throughput=CALIBRATION,
    log:
        f"{RESULTS}/logs/calibrate.log",
    benchmark:
        f"{RESULTS}/logs/calibrate.tsv"
    params:
        config=forecast_config,
    threads: processes
    resources:
        **TRAINING_DEVICES,
        device="--gpu" if devices.uses_gpu(EXPERIMENT, SITE) else "",
        runtime=15,
    conda:
        "../envs/train.yaml"
    shell:
        f"python {SCRIPTS}/calibrate.py"
        " --config {params.config:q} --out {output.throughput}"
        " {resources.device} 2> {log}"


# Without an output, so that every call runs it.
rule cost:
    input:
        throughput=calibration,
    log:
        f"{RESULTS}/logs/cost.log",
    params:
        config=forecast_config,
        plan=f"{RESULTS}/split/plan.json",
        device="--gpu" if devices.uses_gpu(EXPERIMENT, SITE) else "",
        table=f"{RESULTS}/forecast.csv",
    threads: 1
    conda:
        "../envs/law.yaml"
    localrule: True
    shell:
        f"python {SCRIPTS}/cost.py"
        " --config {params.config:q} --calibration {input.throughput}"
        " --plan {params.plan} {params.device} --out {params.table} > {log} 2>&1"
