"""The verb ``join``."""

from pathlib import Path

from cloister import client
from cloister.cli.shell import passphrase, show
from cloister.cli.shell.options import JSON, KEY
from cloister.cli.shell.settings import Settings, party_verb

_MEANING = {
    "owner": "submits the manifest, starts, stops and resets",
    "algorithm-provider": "uploads the algorithm",
    "dataset-provider": "uploads data",
    "result-consumer": "fetches the result",
    "auditor": "checks event log and result afterwards",
}


@party_verb(
    positional=["file"],
    options=[KEY, JSON],
    help={
        "file": "the invitation from the platform team",
        "output": "file of the answer (default: MEMBER.answer.json)",
    },
    example="join hospital-1.invitation.json",
)
def join(settings: Settings, file: str, output: str = "") -> None:
    """Answer an invitation to a workspace: make your key pair, and write the file that the platform team needs.

    Without --key and $CLOISTER_KEY the key is MEMBER.pem. If its file does not exist, the key is made.
    """
    path = Path(file)
    member = client.load_invitation(path).member
    key, answer = settings.path("key") or Path(f"{member}.pem"), Path(output or f"{member}.answer.json")
    joined = client.join(path, answer, key, passphrase=passphrase.ask)
    found = joined.invitation
    if settings.json:
        facts = {"workspace": found.workspace, "member": found.member, "roles": list(found.roles)}
        show.facts(facts | {"private": str(key), "answer": str(answer), "fingerprint": joined.key.id})
        return
    print(f"Workspace    {found.workspace}, as its member {found.member}")
    for role in found.roles:
        print(f"Role         {role}: {_MEANING[role]}")
    new = "new: keep it secret, and keep a backup, since this is the only copy" if joined.made else "as it was"
    print(f"Private key  {key}   {new}")
    print(f"Answer       {answer}   send it to the platform team; it holds no secret")
    print(f"Fingerprint  {joined.key.id}   tell it to them over another channel, such as the phone, to compare")
