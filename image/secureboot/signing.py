"""Sign an image: its kernel image, and the disks with the signed one, beside the image and never in its manifest."""

from collections.abc import Mapping
from pathlib import Path

from cloister.errors import InputError
from cloister.protocol import signedimage
from cloister.protocol.imagemanifest import KERNEL_IMAGE, ImageOutput, replayed
from cloister.protocol.signedimage import DB, SignedImage
from image.build import built_image, output
from image.errors import ImageError
from image.formats import contents, disk, targz, verity, vhd
from image.formats.contents import Contents
from image.secureboot import authenticode, enrolment, prediction
from image.secureboot.keys import CERTIFICATE, KEK, NAMES, PK, Certificates, Signer, require_private

# What other verbs read beside an image: `image.audit`, `image.diff`.
_UNCHANGED = (output.MANIFEST, built_image.LISTING, built_image.LOCK)
_NEEDED = (KERNEL_IMAGE, "root.erofs", "root.verity")
_UPDATE, _LIST = ".auth", ".esl"
_SIGNED_BY = {PK: PK, KEK: PK, DB: KEK}


def folder(image: Path) -> Path:
    """The folder of the signed image beside that of ``image``."""
    return image.with_name(f"{image.name}-signed")


def sign(image: Path, keys: Path) -> SignedImage:
    """Sign the image in the folder ``image`` with the keys in ``keys``; write the result to ``folder(image)``.

    Raises ImageError, KeysError and InputError.
    """
    manifest = output.read_manifest(image)
    target = folder(image)
    if output.read_signed(image) is not None:
        raise InputError(f"{image} holds a signed image.", hint="Name the image that was signed.")
    if (target / output.MANIFEST).exists() and output.read_signed(target) is None:
        raise InputError(f"{target} holds an image that is not signed.", hint="Move it, then run the command again.")
    wrong = [name for name in output.check(manifest, image) if name in _NEEDED]
    if wrong:
        raise ImageError(
            f"{image} differs from its manifest: {', '.join(wrong)}.",
            hint=f"Build the image again with {output.building(image)}.",
        )
    signers = {name: Signer.load(keys, name) for name in NAMES}
    require_private(keys)
    certificates = Certificates(*(signers[name].der() for name in NAMES))
    uki, root, tree = ((image / name).read_bytes() for name in _NEEDED)
    signed = authenticode.sign(uki, signers[DB])
    raw = disk.build(signed, root, tree, verity.root_hash(tree))
    files: dict[str, Contents] = {
        prediction.UKI: signed,
        "disk.raw": raw,
        "disk.vhd": vhd.build(raw),
        "disk.tar.gz": targz.build(raw),
        **_for_firmware(certificates, signers),
    }
    registers = prediction.signed(uki, certificates)
    statement = SignedImage(
        manifest=manifest.digest().hex(),
        certificates=certificates.by_name(),
        outputs={name: ImageOutput(contents.sha256(made), contents.size(made)) for name, made in files.items()},
        pcrs={index: replayed(events) for index, events in registers.items()},
        events=registers,
    )
    files |= {name: (image / name).read_bytes() for name in _UNCHANGED if (image / name).is_file()}
    files[signedimage.FILE] = statement.encode()
    output.write(files, target)
    return statement


def _for_firmware(certificates: Certificates, signers: Mapping[str, Signer]) -> dict[str, bytes]:
    """For each variable its certificate, signature list and authenticated update, for a firmware's setup or a cloud."""
    made = {}
    for variable in enrolment.variables(certificates):
        made[f"{variable.name}{CERTIFICATE}"] = certificates.by_name()[variable.name]
        made[f"{variable.name}{_LIST}"] = variable.contents
        made[f"{variable.name}{_UPDATE}"] = enrolment.update(variable, signers[_SIGNED_BY[variable.name]])
    return made
