"""What a user asks for: solve a case, check it in AC, verify a result."""
