"""The way of an event: pure core (kpi to state), edges (transport, agents, owner, store), answers."""
