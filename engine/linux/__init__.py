"""One file per kernel feature, in the words of the man pages. No policy, no state: callers decide, these do."""
