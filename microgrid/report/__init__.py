"""Results for people: terminal pages and pictures."""
