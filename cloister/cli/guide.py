"""What the bare command prints: who does what, in which order."""

from invoke.context import Context

from cloister.cli.verb import program, verb

PARTY = """\
Several organisations compute on data that none of them may see, in virtual machines that each of them checks first.

Everybody, once
  {p} keys --output me.pem                           your key pair; give me.pub to the others
  {p} policy --image MANIFEST --workspace FILE       what you demand of a machine, value by value
  {p} attest --workspace FILE --policy policy.json   is it the machine that you demand?

Algorithm provider
  {p} bundle requirements.txt                        the packages that the algorithm needs
  {p} upload-algorithm train.py --key me.pem --manifest manifest.json

Dataset provider
  {p} checksum data.csv                              what the manifest must say about your data
  {p} review manifest.json                           what you agree to, in plain words
  {p} upload-data data.csv --key me.pem --manifest manifest.json

Owner
  {p} manifest manifest.yaml                         fill in digests, write the canonical form
  {p} run --manifest manifest.json --key me.pem      submit it, and watch
  {p} stop, {p} reset

Result consumer
  {p} result --key me.pem --manifest manifest.json --output results.zip --unpack out

Anyone who may, at any time
  {p} status, {p} events --follow, {p} logs
  {p} audit LOG, {p} verify-result results.zip       offline proof
  {p} verify-evidence FILE...                        judge a recorded bundle, report or quote
"""

PLATFORM = """\
Platform team
  invoke setup, invoke doctor                            get ready, and see what is missing
  invoke image.build                                     the guest image, and what it will measure
  invoke workspace.new, workspace.up, workspace.export   the machines, and their descriptor for the parties
  invoke member.add                                      who takes part

On one machine, the whole way
  invoke demo                                            three hospitals train one classifier
"""


@verb(help={})
def guide(c: Context) -> None:
    """Who does what, in which order."""
    name = program()
    print(PARTY.format(p=name))
    if name != "cloister":
        print(PLATFORM)
    print(f"{name} --list names all verbs, {name} --help VERB its options.")
