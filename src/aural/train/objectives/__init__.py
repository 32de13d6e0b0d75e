"""One file an objective: a function of a network and a batch that gives Losses."""
