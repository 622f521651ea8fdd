"""What the program and the provider call each other's things."""

NAME = "cloister-local"
VERSION = "0.1.0"
AUTHORITY = f"{NAME}:index:Authority"
CVM = f"{NAME}:index:Cvm"
