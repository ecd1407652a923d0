"""perf/gpu.py without a GPU: its arguments, and the same steps on a CPU."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "perf/gpu.py"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "perf"))
    import gpu

    return gpu


def test_the_peak_is_that_of_the_gpu_unless_it_is_given(script, capsys):
    assert script.peak_of("NVIDIA A100-SXM4-80GB", None) == 312e12
    assert script.peak_of("NVIDIA H100 PCIe", None) == 756e12
    assert script.peak_of("NVIDIA H100 80GB HBM3", None) == 989e12
    assert script.peak_of("NVIDIA A100-SXM4-80GB", 1e14) == 1e14
    assert script.peak_of("Some GPU", 1e14) == 1e14
    with pytest.raises(SystemExit, match=r"the peak of Some GPU is not known; give it .* --peak"):
        script.peak_of("Some GPU", None)
    assert 3.3e8 < script.LARGE.params < 3.6e8
    assert script.LARGE.context == 2048


@pytest.mark.slow
def test_every_step_runs_on_a_cpu():
    words = "--device cpu --tiny --eager --rows 4 --steps 200 --rounds 1 --peak 1e10".split()
    done = subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "microbatch: 4 of 4 sequences fit in memory" in done.stdout
    assert "of 1e+10 FLOPs/s" in done.stdout
    assert "status -9" in done.stdout
    assert "killed and resumed: the final states are the same" in done.stdout
