"""How much longer it takes to import the losses than torch alone.

Usage: python benchmarks/imports.py

Prints the medians over whole processes, which alternate, and the median of the differences between neighbors."""
import statistics
import subprocess
import sys
import time

ROUNDS = 9
PROGRAMS = {"torch": "import torch", "with losses": "import torch, asl_explainer.losses"}


def milliseconds(program):
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)
    return (time.perf_counter() - start) * 1e3


def main():
    for program in PROGRAMS.values():
        milliseconds(program)  # fills the disk cache
    rounds = [[milliseconds(program) for program in PROGRAMS.values()] for _ in range(ROUNDS)]
    for name, times in zip(PROGRAMS, zip(*rounds)):
        print(f"{name:14}{statistics.median(times):6.0f} ms")
    print(f"{'difference':14}{statistics.median(losses - torch for torch, losses in rounds):6.0f} ms")


if __name__ == "__main__":
    main()
