"""Build the MILP from the parts' pages, solve it with a proven gap, and audit the answer."""
