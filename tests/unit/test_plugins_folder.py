"""The plugins folder as Airflow sees it: one file, and nothing that replaces the standard library."""

from __future__ import annotations

import os
import subprocess
import sys
from ast import ImportFrom, literal_eval, parse, walk
from pathlib import Path

import pytest
from airflow._shared.module_loading import find_path_from_directory
from airflow.sdk import BaseAsyncOperator

from operators.certify import CertifyOperator

# Airflow's own reading of the ignore file uses a pattern class that its library has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")

DISCOVERED = """
import sys
from airflow import plugins_manager
from airflow.configuration import conf
loaded, errors = plugins_manager._load_plugins_from_plugin_directory(sys.argv[1], load_examples=False)
print(sorted(plugin.name for plugin in loaded), errors)
import email, http, queue, logging, secrets, types
print({module.__name__ for module in (email, http, queue, logging, secrets, types)
       if sys.argv[1] in (module.__file__ or "")})
files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
print(sorted(name for name, file in files.items() if file.startswith(sys.argv[1]) and "." not in name))
"""


def visible(project: Path) -> list[Path]:
    plugins = project / "plugins"
    found = find_path_from_directory(plugins, ".airflowignore", "glob")
    return sorted(Path(path) for path in found if path.endswith(".py"))


def test_airflow_sees_one_file(project: Path) -> None:
    assert [path.relative_to(project / "plugins").as_posix() for path in visible(project)] == ["handoff_plugin.py"]


def test_without_the_ignore_file_it_would_see_them_all(project: Path, tmp_path: Path) -> None:
    """The rule is what hides them: this test fails when the loader no longer reads it."""
    everything = set((project / "plugins").rglob("*.py"))
    assert len(everything) > 50
    unhidden = tmp_path / "plugins"
    (unhidden / "handoff").mkdir(parents=True)
    for name in ("handoff_plugin.py", "handoff/queue.py"):
        (unhidden / name).write_text("")
    found = [path for path in find_path_from_directory(unhidden, ".airflowignore", "glob") if path.endswith(".py")]
    assert len(found) == 2


def test_no_visible_stem_is_a_module_of_the_standard_library(project: Path) -> None:
    assert {path.stem for path in visible(project)} & sys.stdlib_module_names == set()


def test_no_package_is_named_like_the_standard_library(project: Path) -> None:
    tops = {path.name for path in (project / "plugins").iterdir() if path.is_dir()} - {"__pycache__"}
    assert tops & set(sys.stdlib_module_names) == set()


def test_airflow_s_own_loader_loads_the_plugin_and_nothing_else(project: Path) -> None:
    plugins = project / "plugins"
    done = subprocess.run(  # a process of its own: the loader changes sys.modules
        [sys.executable, "-c", DISCOVERED, str(plugins)], capture_output=True, text=True, timeout=60, check=True
    )
    loaded, shadowed, modules = done.stdout.strip().splitlines()[-3:]
    assert loaded == "['handoffs'] {}"
    assert shadowed == "set()"
    # The installed distribution's provider metadata and the served app are in packages of their own names.
    assert set(literal_eval(modules)) - {"hooks", "web"} == {"handoff_plugin"}


def test_loading_the_plugin_costs_next_to_nothing(project: Path) -> None:
    """Scheduler, triggerer and every worker load it too: what only the API server needs comes with a request."""
    code = (
        "import sys, handoff_plugin; print([name for name in sys.modules if name.startswith(('fastapi', 'handoff.'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=project / "plugins"
    )
    assert done.stdout.strip().splitlines()[-1] == "[]"


STARTED = """
import sys
from airflow.jobs.job import Job
from airflow.listeners.listener import get_listener_manager
class TaskRunnerMarker: ...
def named(): return sorted(name for name in sys.modules if name.startswith("operators."))
get_listener_manager().hook.on_starting(component=TaskRunnerMarker())
print(named())
Job()
print(named())
"""


def test_what_tasks_need_is_imported_where_they_are_forked_from(project: Path, tmp_path: Path) -> None:
    """A part of Airflow that starts has it before it forks; the process of a task of somebody else's DAG has not."""
    settings = {
        "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(project / "plugins"),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", STARTED], capture_output=True, text=True, timeout=60, env=os.environ | settings
    )
    task, part = map(literal_eval, done.stdout.strip().splitlines()[-2:])
    assert task == []
    files = [path.read_text() for path in (project / "dags").glob("*.py")]
    nodes = [node for text in files for node in walk(parse(text)) if isinstance(node, ImportFrom)]
    asked = {node.module for node in nodes if (node.module or "").startswith("operators.")}
    assert "operators.rule_dag" in asked
    assert asked <= set(part)


def test_operators_are_imported_by_name() -> None:
    assert issubclass(CertifyOperator, BaseAsyncOperator)
    assert CertifyOperator.__module__ == "operators.certify"
