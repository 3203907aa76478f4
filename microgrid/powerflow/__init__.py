"""AC power flow of every step and every outage: pandapower models the network, a batched kernel solves it."""
