"""What is installed is what is there: pyproject's lists are the folders and files."""

from __future__ import annotations

import re
import tomllib

from .repository import IN_PACKAGE, ROOT, files, package_of, setuptools


def test_the_packages_are_the_folders():
    folders = {path.parent for path in files(*IN_PACKAGE) if path.suffix == ".py"}
    assert sorted(setuptools()["packages"]) == sorted(map(package_of, folders))
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_package_data_are_all_other_files():
    patterns = [(package, p) for package, ps in setuptools()["package-data"].items() for p in ps]
    missed, used = [], set()
    for path in files(*IN_PACKAGE):
        if path.suffix == ".py":
            continue
        package = package_of(path.parent)
        matching = [row for row in patterns if row[0] == package and path.match(row[1])]
        used.update(matching)
        missed += [] if matching else [str(path.relative_to(ROOT))]
    assert missed == []
    assert [row for row in patterns if row not in used] == []


def test_every_folder_of_the_package_has_its_place():
    """A package is installed from where pyproject says its top folder lies."""
    places = setuptools()["package-dir"]
    assert {place: package_of(ROOT / place) for place in IN_PACKAGE} == {
        folder: package for package, folder in places.items()
    }
    for package in setuptools()["packages"]:
        assert any(package == top or package.startswith(f"{top}.") for top in places)


def test_the_version_is_in_one_place():
    """`rpucc/__init__.py` has it; what repeats it says the same, a changed one is seen here."""
    import rpucc

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dynamic"] == ["version"]
    assert setuptools()["dynamic"]["version"] == {"attr": "rpucc.__version__"}
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [rpucc.__version__]


def test_continuous_integration_runs_what_there_is():
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert "      - run: .ci/run\n" in workflow
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    for place in (".ci/run", *re.findall(r"entry: (scripts/\S+)", hooks)):
        assert (ROOT / place).stat().st_mode & 0o111, place
