"""The machine under the agent: which platform it is, its TPM, its reports and its metadata service."""
