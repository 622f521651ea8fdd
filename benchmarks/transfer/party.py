"""A party's process: ``python -m benchmarks.transfer.party FOLDER upload|result|download|sessions COUNT``.

It prints JSON: the seconds and the CPU time of what was asked for, without its preparation, and its peak memory in MB.
"""

import dataclasses
import json
import sys
import time
from pathlib import Path

from benchmarks.measurement import peak_memory
from benchmarks.transfer.world import TransferParty
from cloister.client.computation.asset import check_asset
from cloister.client.computation.asset_upload import upload_asset
from cloister.client.computation.events import follow_events
from cloister.client.connection.connection import Connection
from cloister.client.result.download import receive
from cloister.protocol.manifest import Manifest
from cloister.protocol.progress import Phase


def main(folder: Path, what: str, words: list[str]) -> None:
    """Do ``what`` and say how long it took."""
    party = TransferParty.load(folder)
    manifest = party.manifest()
    with party.connection(manifest) as connection:
        found = dataclasses.replace(check_asset(manifest.datasets[0], party.source), remembered=False)
        connection.session()
        began, used = time.monotonic(), time.process_time()
        if what == "upload":
            upload_asset(connection, manifest, manifest.datasets[0], found)
        elif what == "result":
            _result(connection, manifest, party)
        elif what == "download":
            _download(connection, manifest, folder)
        else:
            _open(connection, int(words[0]))
        took, spent = time.monotonic() - began, time.process_time() - used
    print(json.dumps({"seconds": took, "cpu": spent, "peak": peak_memory()}))


def _result(connection: Connection, manifest: Manifest, party: TransferParty) -> None:
    for asset in manifest.assets():
        path = party.source if asset.kind == "dataset" else party.folder / asset.file
        upload_asset(connection, manifest, asset, check_asset(asset, path))
    for _ in follow_events(connection, until=frozenset({Phase.COMPLETED})):
        pass


def _download(connection: Connection, manifest: Manifest, folder: Path) -> None:
    """Everything up to the key's release, so that it can be repeated."""
    part = folder / "result.part"
    part.touch()
    receive(connection.session(), "owner", manifest.results.max_size, part, lambda done, size: None)
    part.unlink()


def _open(connection: Connection, count: int) -> None:
    connection.close()
    for _ in range(count):
        connection.session()
        connection.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
