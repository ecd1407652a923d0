"""A signal to stop is recorded, and the previous handlers are restored."""

import os
import signal

from splitlaw.training.signals import Stopped, StopSignals


def test_a_signal_is_noted_only_while_signals_are_caught():
    before = signal.getsignal(signal.SIGUSR1)
    signals = StopSignals()
    with signals.caught():
        assert signals.received is None
        os.kill(os.getpid(), signal.SIGUSR1)
        assert signals.received == signal.SIGUSR1
    assert signal.getsignal(signal.SIGUSR1) == before


def test_the_exit_status_is_that_of_a_shell():
    assert Stopped(signal.SIGTERM).code == 143
