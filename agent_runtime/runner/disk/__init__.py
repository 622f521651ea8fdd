"""The scratch disk, as root has it: found, encrypted, divided into volumes, sealed and closed."""
