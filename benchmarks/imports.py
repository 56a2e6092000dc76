"""What importing the losses costs, over importing torch.

Usage: python benchmarks/imports.py

Prints the medians of whole processes that took turns, and of the differences within a turn."""
import statistics
import subprocess
import sys
import time

PROCESSES = 9
CONTENDERS = {"torch": "import torch", "and the losses": "import torch, asl_explainer.losses"}


def milliseconds(code):
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - start) * 1e3


def main():
    for code in CONTENDERS.values():
        milliseconds(code)  # once, so that the files are at hand
    turns = [[milliseconds(code) for code in CONTENDERS.values()] for _ in range(PROCESSES)]
    for name, times in zip(CONTENDERS, zip(*turns)):
        print(f"{name:14}{statistics.median(times):6.0f} ms")
    print(f"{'difference':14}{statistics.median(losses - torch for torch, losses in turns):6.0f} ms")


if __name__ == "__main__":
    main()
