"""What people do between two repros, one file per group of commands."""
