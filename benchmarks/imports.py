"""What importing the losses costs, over importing torch.

Usage: python benchmarks/imports.py

Prints the medians of whole processes that took turns."""
import statistics
import subprocess
import sys
import time

PROCESSES = 9
CONTENDERS = {"import torch": "import torch", "and the losses": "import torch, asl_explainer.losses"}


def milliseconds(code):
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - start) * 1e3


def main():
    for code in CONTENDERS.values():
        milliseconds(code)  # once, so that the files are at hand
    times = {name: [] for name in CONTENDERS}
    for _ in range(PROCESSES):
        for name, code in CONTENDERS.items():
            times[name].append(milliseconds(code))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:15}{median:7.0f} ms")
    print(f"{'difference':15}{medians['and the losses'] - medians['import torch']:7.0f} ms")


if __name__ == "__main__":
    main()
