"""Fixtures of the face: a fake gateway behind real gRPC, and a client of it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gateway_fake import Gateway, serving

from synthgate import Client, Retry


@pytest.fixture
def gateway():
    with serving(Gateway()) as fake:
        yield fake


@pytest.fixture
def client(gateway):
    retry = Retry(attempts=3, first_s=0.001, most_s=0.01, patience_s=5.0)
    with Client(gateway.address, "s3cret", timeout_s=10.0, retry=retry) as client:
        yield client
