"""Who may read what is kept of people: nobody but its owner, unless the folder was made for others before.

A lake's or a spool's folder that we make is its owner's alone (0700), and so are the files of rows in it (0600). A
folder that was there, with rights for others, is shared on purpose: files in it may be read by those who may read it,
as far as the umask lets them.
"""

from __future__ import annotations

import os
from pathlib import Path


def private_folder(folder: Path) -> Path:
    """The folder, made for its owner alone where it is not there; those above it are made as usual.

    Raises:
        OSError: it cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def inner_folder(folder: Path) -> Path:
    """A folder within a lake or an index: it has the rights of the one above it, as far as the umask lets it.

    Raises:
        OSError: it cannot be made.
    """
    if not folder.is_dir():
        above = folder.parent if folder.parent.is_dir() else inner_folder(folder.parent)
        folder.mkdir(mode=0o700 | (above.stat().st_mode & 0o077), exist_ok=True)
    return folder


def file_mode(folder: Path) -> int:
    """The rights of a new file of rows in a folder: the owner's, and to read for those who may read the folder."""
    return 0o600 | (folder.stat().st_mode & 0o044)


def readers_of(folder: Path) -> str:
    """Who can read a folder by the rights of it and of those above it: everybody on this machine, its group, or its
    owner alone.
    """
    own, above = folder.stat().st_mode, [place.stat().st_mode for place in folder.resolve().parents]
    if own & 0o005 == 0o005 and all(mode & 0o001 for mode in above):
        return "everybody on this machine"
    if own & 0o050 == 0o050 and all(mode & 0o011 for mode in above):
        return "its group"
    return "its owner alone"


def usual_folder_mode() -> int:
    """The rights that the umask gives a new folder."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o777 & ~mask


def keep_private(file: Path, *, like: Path) -> None:
    """Takes from a written file the rights that a new file of this folder would not have."""
    held = file.stat().st_mode & 0o7777
    if held & file_mode(like) != held:  # else its times stay
        file.chmod(held & file_mode(like))
