"""The images that .ci/parts make, and what stands on them."""

from __future__ import annotations

import subprocess

import pytest

from tests.conftest import REQUIRE_REAL, need

IMAGES = ("tocsin:local", "tocsin-postgres:local", "tocsin-haproxy:local")


@pytest.fixture(scope="session")
def images() -> None:
    """Every image that a stack needs; .ci/parts/*-image.sh make them."""
    need("docker-compose")
    for image in IMAGES:
        done = subprocess.run(
            ["docker", "image", "inspect", image], capture_output=True, check=False
        )
        if done.returncode != 0:
            if REQUIRE_REAL:
                pytest.fail(f"the image {image} is required here; .ci/parts makes it")
            pytest.skip(f"there is no image {image}; .ci/parts makes it")
