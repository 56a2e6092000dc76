"""Packaging: everything it says is read from settings.ini."""
import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
config = ConfigParser(delimiters=["="])
config.read(here / "settings.ini", encoding="utf-8")
settings = config["DEFAULT"]

# README.md links to files beside it; where the package is shown they are not there, so the links lead to the repository.
readme = (here / "README.md").read_text(encoding="utf-8")
for before, view in {r"(!\[[^\]]*\]\()": "raw", r"((?<!!)\[[^\]]*\]\()": "blob"}.items():
    readme = re.sub(before + r"(?!\w+:|#)", rf"\1{settings['git_url']}/{view}/{settings['branch']}/", readme)
course = settings["course_requirements"].split()

setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    long_description=readme,
    long_description_content_type="text/markdown",
    url=settings["git_url"],
    author=settings["author"],
    license="Apache-2.0",
    keywords=settings["keywords"].split(),
    packages=find_packages(include=[settings["lib_path"], settings["lib_path"] + ".*"]),
    package_dir={"": "."},  # an editable install puts the whole repository on the path: nbdev imports processors from tools/
    package_data={settings["lib_path"]: ["py.typed", "course/*.js", "course/*.css", "course/playground/*.js", "course/playground/*.css", "course/playground/*.npz", "course/*.npz"]},
    python_requires=">=" + settings["min_python"],
    install_requires=settings["requirements"].split(),
    extras_require={"course": course, "dev": course + settings["dev_requirements"].split()},
    entry_points={
        "console_scripts": settings["console_scripts"].split(),
        "nbdev": [f"{settings['lib_name']}={settings['lib_path']}._modidx:d"],
    },
)
