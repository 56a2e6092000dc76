"""Executes notebooks as Jupyter does, in kernels that start at once."""
import multiprocessing
import os
import re
import signal
import threading
import time

from forks import FORK
from jupyter_client.provisioning import local_provisioner
from nbclient import NotebookClient


def end_with_tests():
    "Ends this process when the process of the tests is gone."
    multiprocessing.parent_process().join()
    os._exit(1)


def become_kernel(arguments, folder, environment):
    "What a forked process does: it is a kernel in a folder, and the leader of a process group, as Jupyter expects."
    os.setpgid(0, 0)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    import matplotlib
    from ipykernel.kernelapp import launch_new_instance

    matplotlib.rcParams["backend"] = "module://matplotlib_inline.backend_inline"  # too late for a kernel's MPLBACKEND
    threading.Thread(target=end_with_tests, daemon=True).start()
    launch_new_instance(argv=arguments)


class ForkedKernel:
    "A forked kernel with the methods of `subprocess.Popen` that Jupyter calls."

    stdin = stdout = stderr = None

    def __init__(self, command, cwd, env, **_):
        arguments = command[command.index("ipykernel_launcher") + 1 :]
        self.process = FORK.Process(target=become_kernel, args=(arguments, cwd, env))
        self.process.start()
        self.pid = self.process.pid
        while self.poll() is None and os.getpgid(self.pid) != self.pid:
            time.sleep(0.01)

    def poll(self):
        return self.process.exitcode

    def wait(self):
        self.process.join()
        return self.process.exitcode

    def send_signal(self, number):
        os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def execute(notebook, folder, monkeypatch, **options):
    "Executes the cells of a notebook, in place, except those that nbdev is told not to."
    monkeypatch.setattr(local_provisioner, "launch_kernel", ForkedKernel)
    for cell in notebook.cells:
        if re.search(r"^#\|\s*eval:\s*false", cell.source, re.MULTILINE):
            cell.metadata.tags = ["skip-execution"]
    options |= {"kernel_name": "python3", "timeout": 900, "resources": {"metadata": {"path": str(folder)}}}
    NotebookClient(notebook, **options).execute()
