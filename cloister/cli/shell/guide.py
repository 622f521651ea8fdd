"""The command's output without a verb: who does what, in which order."""

from invoke.context import Context

from cloister.cli.shell.command_line import program
from cloister.cli.shell.verb import verb

PARTY = """\
Several organisations compute on data that none of them may see, in virtual machines that each of them verifies first.

Every party, once
  {p} keys --output me.pem                           your key pair; give me.pub to the owner and the platform team
  {p} join invitation.json                           or: answer the platform team's invitation, which makes the key pair
  {p} policy --image image.json --workspace workspace.json
  {s}                                                what you demand of a machine, value by value; both files come
  {s}                                                from the platform team
  export CLOISTER_KEY=me.pem CLOISTER_POLICY=policy.json CLOISTER_WORKSPACE=workspace.json
  {s}                                                instead of --key, --policy and --workspace below
  {p} doctor                                         what is missing or wrong so far, and what to do about it
  {p} attest                                         check the machine against your policy

Algorithm provider
  {p} lock requirements.txt                          exact versions of what the algorithm needs
  {p} bundle requirements.lock                       pack them
  {p} try computation.yaml --data h1=mock.csv --root root.tar.gz
  {s}                                                run it here on harmless data, in the platform team's image
  {p} upload-algorithm train.py --manifest computation.json

Dataset provider
  {p} checksum data.csv                              name, digest and size for the manifest
  {p} review computation.json                        what you agree to, in plain words
  {p} upload-data data.csv --manifest computation.json
  {p} rule computation.json --until 2026-12-31       permit more computations like this one: `consent --rule`
  {p} withdraw --manifest computation.json           take your consent back, until someone has a result

Owner
  {p} manifest computation.yaml                      check it, fill in digests, write the form that all parties get
  {p} run --manifest computation.json                submit it and watch
  {p} start                                          after `run --hold`: start the run once all assets have arrived
  {p} metrics                                        how the machine's agent does
  {p} stop                                           end the computation for good
  {p} reset                                          wipe the machine and reboot it, for another computation

Result consumer
  {p} result --manifest computation.json --output results.zip --unpack out

Approver, if the manifest has one
  {p} approve --manifest computation.json --look     what the result has; without --look: approve it
  {p} reject --manifest computation.json             refuse it to everyone; everything is wiped

Parties, at any time
  {p} status                                         what has arrived, what is missing
  {p} events --follow                                who did what, and when
  {p} page                                           all of that in a browser, live
  {p} watch --manifest computation.json              wait, and say when it is your turn; --exec CMD tells a program
  {p} logs --follow                                  what the algorithm prints, if the manifest lets you read it

Parties, afterwards
  {p} history                                        what you accepted in each workspace, and what waits for your yes
  {p} usage results.zip --output usage.json          signed record of limits, sizes and minutes
  {p} export computation.json                        the definition, for another workspace; there: {p} import FILE

Anyone, offline
  {p} verify-result results.zip                      which image, manifest, data and algorithm made a result
  {p} report results.zip                             the same as a page for a browser or a printer
  {p} audit LOG                                      what a saved event log proves
  {p} verify-evidence FILE...                        whether recorded evidence is genuine
  {p} collateral fetch --collateral DIR              the vendors' certificates and lists, for a site without internet
"""

PLATFORM = """\
Platform team
  invoke setup, invoke doctor                            prepare this machine, and see what is missing
  invoke image.build                                     the guest image and its measurements
  invoke workspace.new, workspace.up, workspace.export   the machines and their descriptor for the parties
  invoke member.add, member.invite, member.admit         who takes part

Everything on one machine
  invoke demo                                            three hospitals train one classifier
"""


@verb(help={})
def guide(c: Context) -> None:
    """Show who does what, in which order."""
    name = program()
    print(PARTY.format(p=name, s=" " * len(name)))
    if name != "cloister":
        print(PLATFORM)
    print(f"{name} --list lists all verbs, {name} --help VERB the options of one.")
