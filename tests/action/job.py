"""Runs composite actions as the runner of GitHub Actions does: a job with its folder, its variables and its steps."""

import os
import re
import signal
import subprocess
from pathlib import Path

import yaml


class Job:
    """A job on one machine. `status` becomes `failure` with the first step that fails."""

    def __init__(self, folder, environment=()):
        self.temporary = folder / "runner-temp"
        self.workspace = folder / "workspace"
        for made in (self.temporary, self.workspace):
            made.mkdir(parents=True)
        self.status = "success"
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.environment = inherited | {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": "somebody/something",
            "GITHUB_SERVER_URL": "https://github.invalid",
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self.temporary),
            **dict(environment),
        }

    def run(self, script, environment=()):
        """Runs a step with bash and returns its result. What it writes into the files of the runner applies to later steps."""
        files = {name: self.temporary / name for name in ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH")}
        for file in files.values():
            file.write_text("")
        variables = self.environment | {name: str(file) for name, file in files.items()} | dict(environment)
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        ran = subprocess.run(
            command, cwd=self.workspace, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600
        )
        if ran.returncode:
            self.status = "failure"
        self.environment |= entries(files["GITHUB_ENV"])
        for folder in files["GITHUB_PATH"].read_text().split():
            self.environment["PATH"] = f"{folder}:{self.environment['PATH']}"
        ran.outputs = entries(files["GITHUB_OUTPUT"])
        return ran

    def use(self, action, **inputs):
        """Runs the steps of the action in a folder. Returns the output of all steps, and the outputs of the action."""
        definition = yaml.safe_load((action / "action.yml").read_text())
        assert definition["runs"]["using"] == "composite"
        defaults = {name: given["default"] for name, given in definition.get("inputs", {}).items()}
        unknown = inputs.keys() - defaults.keys()
        assert not unknown, f"the action has no input {unknown}"
        context = {f"inputs.{name}": value for name, value in (defaults | inputs).items()}
        context["job.status"] = self.status
        printed = ""
        for step in definition["runs"]["steps"]:
            assert step["shell"] == "bash"
            variables = {name: evaluate(text, context) for name, text in step.get("env", {}).items()}
            ran = self.run(step["run"], variables | {"GITHUB_ACTION_PATH": str(action)})
            printed += ran.stdout
            context |= {f"steps.{step.get('id')}.outputs.{name}": value for name, value in ran.outputs.items()}
            if ran.returncode:
                return printed, {}
        outputs = definition.get("outputs", {})
        return printed, {name: evaluate(output["value"], context) for name, output in outputs.items()}

    def end(self):
        """Ends the processes that the job left running, by their folder, and returns their ids."""
        left = processes_of(self.temporary)
        for process in left:
            os.kill(process, signal.SIGKILL)
        return left


def evaluate(text, context):
    """Replaces the expressions in a text. Only names are supported, which is all that these actions use."""
    return re.sub(r"\$\{\{ ([a-z_.-]+) \}\}", lambda found: context[found[1]], str(text))


def entries(file):
    """Reads lines NAME=VALUE."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def processes_of(folder):
    """Returns the ids of the processes whose program is in a folder. Those that have ended have none."""
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/exe") if program_of(path).startswith(f"{folder}/")]


def program_of(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""
