"""pandapower networks: the contract they satisfy, how assets attach to them, and their limits."""
