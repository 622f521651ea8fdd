"""Confidential VMs of Google Cloud, SEV-SNP and TDX, with Google's firmware."""
