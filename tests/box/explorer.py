"""explorer.py SHARE FOLDER PAUSE USER PASSWORD: copies a folder as Windows Explorer does.

Every file gets its full size at once, then its content piece by piece with PAUSE s before each, then the old time of its source.
"""

import sys
import time
import uuid
from pathlib import Path

from smbprotocol.connection import Connection
from smbprotocol.file_info import FileBasicInformation, FileEndOfFileInformation, InfoType
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    DirectoryAccessMask,
    FileAttributes,
    FilePipePrinterAccessMask,
    ImpersonationLevel,
    Open,
    ShareAccess,
    SMB2SetInfoRequest,
)
from smbprotocol.session import Session
from smbprotocol.structure import Structure
from smbprotocol.tree import TreeConnect

PIECE = 64 * 1024
WINDOWS_EPOCH_SECONDS = 11_644_473_600
END_OF_FILE, BASIC = 20, 4


class Explorer:
    def __init__(self, share: str, user: str, password: str, pause: float) -> None:
        self.pause = pause
        self.connection = Connection(uuid.uuid4(), "127.0.0.1", 445)
        self.connection.connect()
        self.session = Session(self.connection, user, password)
        self.session.connect()
        self.tree = TreeConnect(self.session, rf"\\127.0.0.1\{share}")
        self.tree.connect()

    def make_folder(self, name: str) -> None:
        folder = Open(self.tree, name)
        folder.create(
            ImpersonationLevel.Impersonation,
            DirectoryAccessMask.GENERIC_READ,
            FileAttributes.FILE_ATTRIBUTE_DIRECTORY,
            ShareAccess.FILE_SHARE_READ,
            CreateDisposition.FILE_OPEN_IF,
            CreateOptions.FILE_DIRECTORY_FILE,
        )
        folder.close()

    def copy(self, source: Path, name: str) -> None:
        content = source.read_bytes()
        file = Open(self.tree, name)
        file.create(
            ImpersonationLevel.Impersonation,
            FilePipePrinterAccessMask.GENERIC_WRITE | FilePipePrinterAccessMask.GENERIC_READ,
            FileAttributes.FILE_ATTRIBUTE_NORMAL,
            ShareAccess.FILE_SHARE_READ,
            CreateDisposition.FILE_OVERWRITE_IF,
            CreateOptions.FILE_NON_DIRECTORY_FILE,
        )
        size = FileEndOfFileInformation()
        size["end_of_file"] = len(content)
        self._set_info(file, END_OF_FILE, size)
        for start in range(0, len(content), PIECE):
            time.sleep(self.pause)
            file.write(content[start : start + PIECE], start)
        times = FileBasicInformation()
        times["last_write_time"] = int((source.stat().st_mtime + WINDOWS_EPOCH_SECONDS) * 10**7)
        self._set_info(file, BASIC, times)
        file.close()

    def _set_info(self, file: Open, kind: int, information: Structure) -> None:
        request = SMB2SetInfoRequest()
        request["info_type"] = InfoType.SMB2_0_INFO_FILE
        request["file_info_class"] = kind
        request["file_id"] = file.file_id
        request["buffer"] = information
        sent = self.connection.send(request, self.session.session_id, self.tree.tree_connect_id)
        self.connection.receive(sent)

    def close(self) -> None:
        self.tree.disconnect()
        self.session.disconnect()
        self.connection.disconnect()


def main(share: str, folder: Path, pause: float, user: str, password: str) -> None:
    explorer = Explorer(share, user, password, pause)
    explorer.make_folder(folder.name)
    for path in sorted(folder.rglob("*")):
        name = "\\".join((folder.name, *path.relative_to(folder).parts))
        if path.is_dir():
            explorer.make_folder(name)
        else:
            explorer.copy(path, name)
    explorer.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4], sys.argv[5])
