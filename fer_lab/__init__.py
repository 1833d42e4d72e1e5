"""What makes it evidence: sweeps, publishing, claims, the ledger, and the command ``fer-lab``."""
