"""Many runs from one table, each a process of its own."""
