"""What continuous integration is allowed to do, that what it and a commit run is there, and the files that the hosting reads."""
import re
import shlex

import pytest
import yaml
from conftest import ROOT

from tools.__main__ import parser

TEXTS = {path.name: path.read_text() for path in sorted((ROOT / ".github/workflows").glob("*.yml"))}
WORKFLOWS = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
MAKEFILE = (ROOT / "Makefile").read_text().replace("$(READY)", ".venv/.ready")


def jobs_and_steps():
    "Each job with its steps; a job that is another workflow is a step of its own."
    for name, workflow in WORKFLOWS.items():
        for job, content in workflow["jobs"].items():
            yield f"{name}: {job}", content, content.get("steps", [content])


def test_every_action_is_pinned_to_a_commit_and_says_its_version():
    lines = [line.strip() for text in TEXTS.values() for line in text.splitlines() if "uses:" in line]
    assert len(lines) == len([step for *_, steps in jobs_and_steps() for step in steps if "uses" in step])
    for line in lines:
        if used := re.fullmatch(r"(?:- )?uses: \./(\S+)", line):
            assert (ROOT / used[1]).is_file()
        else:
            assert re.fullmatch(r"(?:- )?uses: [\w.-]+(/[\w.-]+)+@[0-9a-f]{40} # v\d+(\.\d+)*", line)


def test_an_action_is_pinned_to_the_same_commit_everywhere():
    pins = set(re.findall(r"uses: ([^@\s]+)@(\S+)", "\n".join(TEXTS.values())))
    assert len(pins) == len({action for action, _ in pins})


def test_a_workflow_may_only_read_and_a_job_only_publish():
    assert set(WORKFLOWS) == {"pages.yml", "release.yml", "test.yml", "weekly.yml"}
    assert all(workflow["permissions"] == {"contents": "read"} for workflow in WORKFLOWS.values())
    more = {job: content["permissions"] for job, content, _ in jobs_and_steps() if "permissions" in content}
    assert more == {"pages.yml: publish": {"pages": "write", "id-token": "write"}, "release.yml: publish": {"id-token": "write"}}


def test_what_may_publish_runs_no_code_of_the_repository():
    for _, content, steps in jobs_and_steps():
        if "permissions" in content:
            assert not any("run" in step or "checkout" in step["uses"] for step in steps)


def test_no_workflow_runs_strangers_code_with_rights_or_keeps_the_token():
    assert all("pull_request_target" not in text and "secrets." not in text for text in TEXTS.values())
    for *_, steps in jobs_and_steps():
        assert all(step["with"]["persist-credentials"] is False for step in steps if step.get("uses", "").startswith("actions/checkout@"))


@pytest.mark.parametrize("command", sorted({line for *_, steps in jobs_and_steps() for step in steps for line in step.get("run", "").splitlines()}))
def test_a_command_and_what_it_names_are_there(command):
    program, *arguments = shlex.split(command, comments=True)
    if program == "make":
        assert all(re.search(rf"^{re.escape(target)}:", MAKEFILE, re.MULTILINE) for target in arguments)
    elif program == ".venv/bin/python" and arguments[:2] == ["-m", "tools"]:
        parser().parse_args(arguments[2:])  # exits where it does not know them
    elif program == ".venv/bin/python":
        assert arguments[:2] == ["-m", "pytest"] and (ROOT / arguments[2]).is_file()
    elif program == "bash":
        assert (ROOT / arguments[0]).is_file()
    elif program == "grep":
        assert (ROOT / arguments[-1]).is_file()
    else:
        assert program == "python" and arguments[0] == "-m"
        named = arguments[arguments.index("--constraint") + 1] if "--constraint" in arguments else "constraints.txt"
        assert f"\n{'build' if arguments[1] == 'build' else arguments[-1]}==" in (ROOT / named).read_text()


def test_the_pythons_are_those_that_the_package_promises():
    versions = WORKFLOWS["test.yml"]["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert f"min_python = {versions[0]}\n" in (ROOT / "settings.ini").read_text()


def test_the_tag_of_a_release_is_compared_with_the_version():
    (pattern,) = re.findall(r'grep -Fqx "(version = )\$\{GITHUB_REF_NAME#v\}" settings.ini', TEXTS["release.yml"])
    assert len(re.findall(rf"^{pattern}\d+\.\d+\.\d+$", (ROOT / "settings.ini").read_text(), re.MULTILINE)) == 1


def test_what_a_commit_runs_comes_with_the_environment():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    settings = (ROOT / "settings.ini").read_text()
    assert repository["repo"] == "local"  # nothing is fetched
    for hook in repository["hooks"]:
        program, *arguments = hook["entry"].removeprefix(".venv/bin/").split()
        assert program == "python" or re.search({"nbdev_export": r"\bnbdev>=", "ruff": r"\bruff>="}[program], settings)
        if program == "python":
            assert arguments[:2] == ["-m", "tools"]
            parser().parse_args(arguments[2:])


def test_the_forms_for_issues_can_be_read():
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text())
        if path.stem == "config":
            assert all({"name", "url", "about"} == set(link) for link in form["contact_links"])
        else:
            assert {"name", "description", "labels", "body"} == set(form)
            assert all(part["id"] and part["attributes"]["label"] for part in form["body"])


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    settings = (ROOT / "settings.ini").read_text()
    assert f"\nversion = {citation['version']}\n" in settings and f"\ndescription = {citation['abstract']}\n" in settings
