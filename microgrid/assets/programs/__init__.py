"""Programs that pay for flexibility at a meter: peaks avoided, reserves sold, interruption offered."""
