"""What each peer needs, and a Python environment for it in a cache folder.

An environment is made once and kept. Peers with the same needs share it.
"""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Missing(Exception):
    """A peer cannot be run here; the message says why, and what would help."""


class Peer(NamedTuple):
    """The needs of a peer.

    requirements: pinned packages, for pip.
    alone: pinned packages, installed without their dependencies, which the task does not import.
    clone: 'owner/name' on GitHub, for code that the package index does not have.
    install: whether the clone is a package to be installed.
    """

    requirements: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    clone: str = ""
    install: bool = False


TORCH = ("torch==2.13.0", "numpy==2.4.6")
PEERS = {
    "bioplaus": Peer(),  # these three run in the environment of the command itself
    "numpy": Peer(),
    "flax": Peer(),
    "pytorch": Peer(TORCH),
    # asks for Jupyter, TensorBoard and torchvision
    "biotorch": Peer(TORCH, alone=("biotorch==0.0.16",)),
    "pcx": Peer(("pcx==0.6.3", "jax==0.4.38", "jaxlib==0.4.38")),  # the newest JAX that it admits
    # the newest JAX that it admits
    "jpc": Peer(("jax==0.5.2", "jaxlib==0.5.1"), clone="thebuckleylab/jpc", install=True),
    "ngclearn": Peer(
        ("ngclearn==3.2.1", "jax==0.10.2", "jaxlib==0.10.2"), clone="NACLab/ngc-museum"
    ),
    "ebl": Peer(TORCH, clone="rain-neuromorphics/energy-based-learning"),
    "softhebb": Peer(
        (*TORCH, "einops==0.8.2", "tabulate==0.9.0"), clone="NeuromorphicComputing/SoftHebb"
    ),
    "forward_forward": Peer(TORCH, clone="loeweX/Forward-Forward"),
    "spyx": Peer(("spyx==1.0.0", "jax==0.10.2", "jaxlib==0.10.2")),
    "braintrace": Peer(("braintrace==0.2.6", "brainstate==0.5.4", "jax==0.10.2", "jaxlib==0.10.2")),
    "snntorch": Peer((*TORCH, "snntorch==1.0.0", "norse==1.1.0")),
    "norse": Peer((*TORCH, "snntorch==1.0.0", "norse==1.1.0")),  # shares that environment
}


def clone_of(name: str, peer: Peer, repos: Path | None) -> Path | None:
    """Where the peer's repository lies, None if it needs none. Raises Missing."""
    if not peer.clone:
        return None
    path = (repos or Path("DIR")) / peer.clone.split("/")[1]
    if repos is None or not path.is_dir():
        raise Missing(
            f"{name} is run from its repository: git clone https://github.com/{peer.clone} {path},"
            f" and give --repos {path.parent}"
        )
    return path.resolve()


def commit_of(clone: Path) -> str:
    """The commit of a clone, for the report."""
    done = subprocess.run(
        ["git", "-C", clone, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    )
    return done.stdout.strip() or "unknown commit"


def python_of(name: str, peer: Peer, cache: Path, clone: Path | None) -> Path:
    """The Python of the peer's environment, made if needed. Raises Missing if that fails."""
    built = [str(clone)] if peer.install and clone else []
    if not (peer.requirements or peer.alone or built):
        return Path(sys.executable)
    pins = [*peer.requirements, *peer.alone, *([commit_of(clone)] if built and clone else [])]
    digest = hashlib.sha256(" ".join([sys.version, *pins]).encode()).hexdigest()
    folder = cache / f"{(built or pins)[0].split('/')[-1]}-{digest[:8]}"
    python, ready = folder / "bin" / "python", folder / "installed"
    if not ready.exists():
        print(f"{name}: making {folder}", flush=True)
        _run(name, sys.executable, "-m", "venv", "--clear", str(folder))
        for packages in ([*peer.requirements, *built], ["--no-deps", *peer.alone]):
            if packages != ["--no-deps"]:
                _run(name, str(python), "-m", "pip", "install", "--quiet", *packages)
        ready.touch()
    return python


def _run(name: str, *command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        raise Missing(
            f"{name} cannot be installed here: {errors[-1] if errors else ' '.join(command)}"
        )
