"""README's picture: the way from an image to a proven result, who types what, and what crosses the machine's border."""

from tools.pictures.svg import Drawing

_WIDTH, _HEIGHT = 920, 522
_LEFT, _LEFT_END = 20, 330
_RIGHT, _RIGHT_END = 440, 900
_TOP, _STEP, _TALL = 52, 56, 48

_TEAM = (
    ("image.build", "an image, and its digests for everyone"),
    ("workspace.up", "a workspace: the machine and its members"),
)
_STEPS = (
    ("policy", "everyone", "what I accept: this image, workspace, owners"),
    ("attest", "everyone", "evidence from the machine, judged by my policy"),
    ("review", "everyone", "what I agree to, in plain words"),
    ("run", "owner", "the manifest: who, what, which limits"),
    ("upload-data, -algorithm", "providers", "the agreed files, each with a consent"),
    ("events", "all parties", "what happened, signed, as it happens"),
    ("result", "consumers", "once for each consumer, with its receipt"),
    ("verify-result, report", "auditors", "offline: image, manifest, data, algorithm"),
)
_MACHINE = (
    ("agent", "measured; talks only in sealed calls"),
    ("sandbox", "the algorithm, without a network"),
    ("events", "signed, each naming the one before"),
    ("result", "encrypted, one copy for each consumer"),
)
_TITLE = "How Cloister works"
_DESCRIPTION = (
    "The platform team builds an image and starts a workspace, whose confidential virtual machine runs an agent and a "
    "sandbox without a network. Each party works on its own laptop: everyone writes a policy from the image's digests, "
    "attests the machine and reviews the manifest; the owner submits the manifest; the providers upload algorithm and "
    "data, each with a consent; all parties read the signed events; each consumer fetches the result once; auditors "
    "verify it offline."
)


def draw() -> str:
    """The file's text."""
    made = Drawing(_WIDTH, _HEIGHT, _TITLE, _DESCRIPTION)
    made.text(_LEFT, 34, "Platform team", "head")
    made.text(_RIGHT, 34, "The parties, each on its own laptop", "head")
    for number, (verb, said) in enumerate(_TEAM):
        _card(made, _LEFT, _LEFT_END, _row(number), verb, "", said)
    for number, (verb, who, said) in enumerate(_STEPS):
        _card(made, _RIGHT, _RIGHT_END, _row(number), verb, who, said)
    top, end = _row(3) - 12, _row(6) + _TALL + 12
    made.box(_LEFT, top, _LEFT_END - _LEFT, end - top, "machine")
    made.text(_LEFT + 14, top + 24, "Confidential virtual machine", "head")
    for number, (name, said) in enumerate(_MACHINE):
        y = top + 56 + number * 49
        made.text(_LEFT + 14, y, name, "verb")
        made.text(_LEFT + 14, y + 19, said, "soft small")
    middle = _TALL / 2
    made.arrow([(_LEFT_END, _row(0) + middle), (_RIGHT, _row(0) + middle)])
    made.text((_LEFT_END + _RIGHT) / 2, _row(0) + middle - 8, "digests", "soft small middle")
    made.arrow([((_LEFT + _LEFT_END) / 2, _row(1) + _TALL), ((_LEFT + _LEFT_END) / 2, top)])
    corner = (_LEFT_END + _RIGHT) / 2
    made.arrow([(_LEFT_END, top + 22), (corner, top + 22), (corner, _row(1) + middle), (_RIGHT, _row(1) + middle)])
    made.text(corner - 8, _row(2) + middle - 14, "evidence", "soft small end")
    for number, inwards in ((3, True), (4, True), (5, False), (6, False)):
        y = _row(number) + middle + (8 if number == 3 else 0)
        ends = [(_RIGHT, y), (_LEFT_END, y)] if inwards else [(_LEFT_END, y), (_RIGHT, y)]
        made.arrow(ends)
    return made.render()


def _row(number: int) -> float:
    return _TOP + number * _STEP


def _card(made: Drawing, left: float, right: float, top: float, verb: str, who: str, said: str) -> None:
    made.box(left, top, right - left, _TALL)
    made.text(left + 14, top + 20, verb, "verb")
    if who:
        made.text(right - 14, top + 20, who, "soft small end")
    made.text(left + 14, top + 38, said, "small")
