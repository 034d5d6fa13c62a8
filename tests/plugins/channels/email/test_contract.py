"""The contract kit over the email channel."""

from __future__ import annotations

from pathlib import Path

from fairlead.testing import contract_tests
from fairlead.testing.run import load_harness

TestContract = contract_tests("email", harness=load_harness(f"{Path(__file__).with_name('harness.py')}:harness"))
