"""Processes that start at once: each is forked from one that has made the imports which take seconds."""
import multiprocessing

# They do nothing before they are called: neither our own package is among them nor what looks for a kernel.
IMPORTS = ["torch", "torch._decomp", "torch.distributed.tensor", "torch.fx.experimental.proxy_tensor"]
IMPORTS += ["ipykernel.kernelapp", "matplotlib.pyplot", "matplotlib.backends.backend_svg", "nbclient"]
IMPORTS += ["PIL.Image", "sklearn.metrics", "fastcore.test"]

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(IMPORTS)  # one that is not installed is left out
