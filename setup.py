"""Puts the notebooks and the params of the sample product into the wheel, so that `launchpad init` needs no clone."""

from pathlib import Path
from shutil import copyfile

from setuptools import setup
from setuptools.command.build_py import build_py

WORKBOOK = [*sorted(Path("notebooks").glob("*.ipynb")), Path("params/weekly.yaml")]


class BuildWithWorkbook(build_py):
    """The package, and the workbook below `launchpad_lib/workbook`; an editable install reads the clone's own files."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for source in WORKBOOK:
                target = Path(self.build_lib) / "launchpad_lib" / "workbook" / source
                target.parent.mkdir(parents=True, exist_ok=True)
                copyfile(source, target)


setup(cmdclass={"build_py": BuildWithWorkbook})
