"""Confidential VMs of Azure, SEV-SNP and TDX, with Microsoft's paravisor between the hardware and the guest."""
