"""Each module is in root and initrd once, in lists by platform."""

from image.build import layers
from image.rootfs.kernel import Module

BUS, DISK, CARD, LOG = (Module(name, name.encode()) for name in ("bus", "disk", "card", "log"))


def test_module_list_excludes_modules_that_are_already_loaded() -> None:
    initrd = {"": (DISK,), "cloud": (BUS, DISK)}
    root = {"": (LOG, DISK), "cloud": (BUS, CARD), "other": (BUS, LOG)}

    first, then = layers.modules(initrd, {}), layers.modules(root, initrd)

    assert {path: entry.contents.decode() for path, entry in first if "order" in path} == {
        "usr/lib/modules/order": "disk\n",
        "usr/lib/modules/order-cloud": "bus\n",
    }
    assert {path: entry.contents.decode() for path, entry in then if "order" in path} == {
        "usr/lib/modules/order": "log\n",
        "usr/lib/modules/order-cloud": "card\n",
        "usr/lib/modules/order-other": "bus\n",
    }
    assert {path.rpartition("/")[2] for path, _ in then if path.endswith(".ko")} == {"log.ko", "card.ko", "bus.ko"}
