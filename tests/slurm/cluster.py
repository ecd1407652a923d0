"""A real Slurm on the loopback: munge, a controller, two CPU nodes and one with a simulated GPU.

    python tests/slurm/cluster.py                 start it, run the tests marked slurm, stop it
    python tests/slurm/cluster.py COMMAND ...     start it, run a command (a shell, say), stop it

It needs root (munge's key, a device file, /etc/slurm/slurm.conf) and Debian's packages slurm-wlm
and munge. Everything else is in a temporary folder, which is deleted at the end.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
SYSTEM_CONFIG = Path("/etc/slurm/slurm.conf")
LOCK = Path(tempfile.gettempdir()) / "splitlaw-test-cluster.lock"
PREFIX = "splitlaw-slurm-"
NODES = ("c1", "c2", "g1")
INSTALL = "apt-get install --no-install-recommends slurm-wlm munge"

CONFIG = """\
ClusterName=local
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=26817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.sock,cred_expire=10
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
SlurmctldParameters=idle_on_node_suspend
SlurmdParameters=config_overrides
SlurmdTimeout=10
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
ReturnToService=2
MinJobAge=300
KillWait=5
UnkillableStepTimeout=30
InactiveLimit=0
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
NodeName=c1 NodeHostname={host} NodeAddr=127.0.0.1 Port=26830 CPUs=8 RealMemory=8000
NodeName=c2 NodeHostname={host} NodeAddr=127.0.0.1 Port=26831 CPUs=8 RealMemory=8000
NodeName=g1 NodeHostname={host} NodeAddr=127.0.0.1 Port=26832 CPUs=16 RealMemory=64000 \
Gres=gpu:1
PartitionName=cpu Nodes=c[1-2] Default=YES MaxTime=1:00:00 DefaultTime=10 State=UP PriorityTier=10
PartitionName=gpu Nodes=g1 MaxTime=1:00:00 DefaultTime=10 State=UP PriorityTier=10
PartitionName=scavenge Nodes=c[1-2] MaxTime=1:00:00 DefaultTime=10 State=UP PriorityTier=1 \
PreemptMode=REQUEUE GraceTime=0
"""
# A GPU without a device file puts the node into the state INVAL; any device file suffices.
GRES = "AutoDetect=off\nNodeName=g1 Name=gpu File={folder}/run/nvidia0 Flags=nvidia_gpu_env\n"


def missing() -> str | None:
    """Why no cluster can be started here, with the remedy; None if one can."""
    absent = [name for name in NEEDED if shutil.which(name) is None]
    if absent:
        return f"no {', '.join(absent)}: {INSTALL}"
    if os.geteuid() != 0:
        return "a test cluster needs root (munge's key, a device file, /etc/slurm)"
    if SYSTEM_CONFIG.exists() and not SYSTEM_CONFIG.is_symlink():
        return f"{SYSTEM_CONFIG} exists: this machine is part of another Slurm cluster"
    return None


class Cluster:
    """The daemons of one cluster; all of their files are in `folder`."""

    daemons = (*(f"slurmd-{node}" for node in NODES), "slurmctld", "munged")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "etc/slurm.conf")}

    def start(self) -> None:
        """Write the configuration and start everything."""
        for name in ("etc", "log", "run", "state", "munge", *(f"spool/{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "munge").chmod(0o700)
        key = self.folder / "munge/key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        os.mknod(self.folder / "run/nvidia0", 0o600 | 0o020000, os.makedev(1, 3))
        host = socket.gethostname().split(".")[0]
        for name, text in (("slurm.conf", CONFIG), ("gres.conf", GRES)):
            filled = text.format(folder=self.folder, host=host)
            (self.folder / "etc" / name).write_text(filled)
        SYSTEM_CONFIG.parent.mkdir(parents=True, exist_ok=True)
        SYSTEM_CONFIG.unlink(missing_ok=True)
        SYSTEM_CONFIG.symlink_to(self.folder / "etc/slurm.conf")
        self.start_munge()
        self.start_controller()
        for node in NODES:
            self.start_node(node)
        self.wait_for(lambda: self.states() == dict.fromkeys(NODES, "idle"), "the nodes")

    def start_munge(self) -> None:
        """Start the authentication daemon."""
        run, keys = self.folder / "run", self.folder / "munge"
        self.daemon(
            "munged",
            f"--key-file={keys}/key",
            f"--socket={run}/munge.sock",
            f"--pid-file={run}/munged.pid",
            f"--log-file={self.folder}/log/munged.log",
            f"--seed-file={keys}/seed",
            "--num-threads=10",
            "--force",
        )

    def start_controller(self) -> None:
        """Start slurmctld, from its saved state if it ran before."""
        self.daemon("slurmctld")
        self.wait_for(lambda: self.ask("scontrol", "ping") is not None, "the controller")

    def start_node(self, node: str) -> None:
        """Start the slurmd of a node."""
        self.daemon("slurmd", "-N", node)

    def daemon(self, *arguments: str) -> None:
        """Start a program that moves itself into the background."""
        subprocess.run(arguments, env=self.environment, check=True, stdin=subprocess.DEVNULL)

    def pid(self, name: str) -> int:
        """Process id of a daemon: munged, slurmctld or slurmd-NODE."""
        return int((self.folder / "run" / f"{name}.pid").read_text())

    def kill_processes_of(self, node: str) -> None:
        """Kill all processes of a node's jobs at once, as a loss of power would."""
        victims = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("SLURMD_NODENAME") == node:
                    parents = process.parents()
                    victims += [process, *(p for p in parents if "slurmstepd" in p.name())]
        for process in victims:
            with suppress(psutil.Error):
                process.kill()

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to a daemon and wait for its end."""
        try:
            pid = self.pid(name)
            os.kill(pid, number)
            self.wait_for(lambda: ended(pid), f"the end of {name}")
        except (OSError, ValueError):
            return

    def stop(self) -> None:
        """End all jobs and daemons, and remove the files outside `folder`."""
        self.ask("scancel", "--full", "--user=root")
        try:
            self.wait_for(lambda: not self.ask("squeue", "-h"), "the end of all jobs", seconds=30)
        finally:
            for name in self.daemons:
                self.kill(name)
            SYSTEM_CONFIG.unlink(missing_ok=True)

    def ask(self, *arguments: str) -> str | None:
        """The output of a Slurm command, or None if it fails."""
        done = subprocess.run(arguments, env=self.environment, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None

    def states(self) -> dict[str, str]:
        """State of every node."""
        lines = (self.ask("sinfo", "-h", "-N", "-o", "%N %t") or "").splitlines()
        return dict(sorted({tuple(line.split()) for line in lines}))

    def wait_for(self, condition, what: str, *, seconds: float = 20) -> None:
        """Wait until `condition()` holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds} s for {what}; logs in {self.folder}/log")
            time.sleep(0.1)


def ended(pid: int) -> bool:
    """Whether a process has ended; a zombie has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def clear_leftovers() -> None:
    """End the daemons of clusters whose program was killed.

    The caller holds `LOCK`, so that none of them is in use.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        left = Cluster(folder)
        for name in left.daemons:
            left.kill(name)
        for node in NODES:
            left.kill_processes_of(node)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running() -> Iterator[Cluster]:
    """A cluster within a `with` block; another one on this machine waits for its end."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        clear_leftovers()
        with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
            cluster = Cluster(Path(folder))
            try:
                cluster.start()
                yield cluster
            finally:
                cluster.stop()


def main(arguments: list[str]) -> int:
    """Run a command, by default the tests marked slurm, while a cluster is running."""
    reason = missing()
    if reason:
        print(f"error: no test cluster here: {reason}", file=sys.stderr)
        return 2
    with running() as cluster:
        command = arguments or [sys.executable, "-m", "pytest", "-m", "slurm"]
        environment = {**cluster.environment, "SPLITLAW_CLUSTER": str(cluster.folder)}
        return subprocess.run(command, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
