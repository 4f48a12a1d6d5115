"""The user that PostgreSQL runs as where root starts it, and folders that it may use."""

import os
import pwd
import subprocess
from pathlib import Path

from api.child import Account, Unusable

SYSTEM_USER = "pgserver"


def account_for(data: Path) -> Account | None:
    """None unless root runs this: then the owner of the data, or a user made for the purpose."""
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        return Account(data.stat().st_uid, data.stat().st_gid)
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        entry = _add_user()
    return Account(entry.pw_uid, entry.pw_gid)


def _add_user() -> pwd.struct_passwd:
    command = ("useradd", "--system", SYSTEM_USER)
    try:
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - a constant
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unusable(
            f"PostgreSQL refuses to run as root, and the user {SYSTEM_USER} cannot be added: "
            "start as another user, or set DATABASE_URL"
        ) from error
    return pwd.getpwnam(SYSTEM_USER)


def let_pass(folder: Path) -> None:
    """Let the other user through to what lies in the folder, without letting it list parents."""
    for passed in (folder, *folder.parents):
        mode = passed.stat().st_mode
        if not mode & 0o001:
            passed.chmod(mode | 0o001)


def private_folder(path: Path, account: Account | None = None) -> Path:
    path.mkdir(mode=0o700, exist_ok=True)
    path.chmod(0o700)
    if account:
        os.chown(path, *account)
    return path
