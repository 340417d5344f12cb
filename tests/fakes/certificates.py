"""A certificate that is its own authority, for a day."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Files of a certificate and its key, for a name such as `DNS:host` or `IP:127.0.0.1`. Skips without openssl."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    run = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run += ["-days", "1", "-subj", "/CN=a test", "-addext", f"subjectAltName={name}"]
    try:
        subprocess.run([*run, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    return cert, key
