"""An algorithm that fills both file systems in memory, neither of which alone reaches its bound."""

import itertools

for number in itertools.count():
    for place in ("/tmp", "/dev/shm"):
        with open(f"{place}/{number}", "wb") as file:
            file.write(bytes(1 << 20))
