"""One local virtual machine: QEMU, swtpm, ports, sockets and processes."""
